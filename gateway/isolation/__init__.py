"""Toolkits in worker processes: C code, a crash or a memory leak in one of them never touches the gateway.

`processes` says which toolkits those are. Each has a `crew` of warm workers, which takes its calls; `shift` is one
worker's work: it sends a call, passes on what the tool says to its host, and hears how the call ended. `process` starts
and ends the operating system's process, and `output` puts what it prints into the log.

Kept with each call: its deadline, by killing if need be; one access token; at most once. Not promised: a sandbox. A
worker has the gateway's user and can read that user's files.

Below: toolkit, worker. Above: the app, which gives `processes` to the loader.
"""
