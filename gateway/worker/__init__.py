"""What runs in a worker process: one toolkit, and nothing of the gateway that it could harm or read.

`__main__` is where it begins: `confinement` binds the process, then `child` loads the toolkit and runs its tools, one
call at a time. `channel` is a tool's way to its host, `line` carries messages to the gateway and back, `wire` and
`failure` say how values and errors travel in them. The last three are used at both ends.

No SQL, web, MCP or OAuth code is imported here, and no setting is read. Below: toolkit. Above: `gateway.isolation`,
which starts the processes.
"""
