"""What breaks connectors, found from outside: as a client on its way in would meet it, one thing after another.

    place     where the gateway is said to be, and one way to ask it something
    finding   one thing that was looked at, how it stands, and what mends it
    reach     can it be reached: address, name, port, certificate, is it a gateway, the clocks
    entry     can a client get in: the challenge, the documents, the issuers, registration, pages of other sites
    examine   all of it, in order

Nothing is changed anywhere, and no credential is needed. Below: httpx2, the paths that the surfaces serve. Above: the
command line.
"""
