"""Toolkits from afar: what they register, their workers, and their tools in the registry while somebody is there.

Below: store, toolkit. Beside: oauth, access. Above: the ATP surface's toolkit half, by way of the app.
"""
