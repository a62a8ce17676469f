"""What all pages for a person's browser share, whichever surface they belong to: layout, cookies, the guard of forms.

Server-rendered, works without JavaScript, nothing from third parties. No routes but those of the static files. Above:
the surfaces with pages, which bring templates of their own. Below: the answers that every surface gives.
"""
