"""Twins of providers: loopback servers that imitate one vendor's authorization server and API down to its quirks.

    twin = make_twin("salesforce", clock=MovableClock())
    async with twin.served():
        …                        # twin.tables() is the shipped catalogue entry, its hosts replaced by the twin's
        assert twin.log.count("refresh") == 1

`twin` is what they share, `admin` and `remote` their control from other processes; a module each for `hubspot`,
`google`, `salesforce`, `microsoft`, and `hostile`, which follows a script of faults. Above: the demo, tests, and the
tests of toolkit authors (`gateway.testing.pytest_plugin`). Below: `gateway.testing.authorization_server`.
"""
