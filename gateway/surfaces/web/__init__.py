"""What a person sees in their browser: the connect page, my connections and history, programs let in, how to plug in a
host, signing in, the front page.

Server-rendered, works without JavaScript, nothing from third parties. Above: the app, which puts `WebPages.routes()`
behind the edge with the paths that `web_pages` lists. Below: flows and connections, by the protocols each module names;
`gateway.surfaces.browser`, what all pages share. Never imports store, vault or another surface.
"""
