"""Toolkits from afar: what they register, their workers, and their tools in the registry while somebody is there.

Of several gateways with one database, each has the toolkits whose workers are at another one as well (`replicas`,
`elsewhere`, `holder`).

Below: store, toolkit. Beside: oauth, access. Above: the ATP surface's toolkit half, by way of the app.
"""
