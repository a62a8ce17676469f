"""Scopes in plain words, for the connect page. A scope that is not here is shown by its name alone.

Sources: OpenID Connect Core section 5.4 and 11; HubSpot "Scopes"; Google "OAuth 2.0 Scopes for Google APIs"; Microsoft
Graph "Permissions reference"; Salesforce "OAuth Tokens and Scopes"; GitHub "Scopes for OAuth apps"; Slack "Scopes".
"""

from __future__ import annotations

import re

_WORDS = {
    "openid": "Know who you are",
    "profile": "See your name and picture",
    "email": "See your e-mail address",
    "offline_access": "Keep working while you are away",
    "refresh_token": "Keep working while you are away",
    # HubSpot
    "oauth": "See which HubSpot account this is",
    "tickets": "Read and change tickets",
    "content": "Read and change pages and posts",
    "automation": "Read and change workflows",
    "forms": "Read and change forms",
    "files": "Read and change files",
    "crm.lists.read": "Read contact lists",
    "crm.lists.write": "Change contact lists",
    # Google
    "https://www.googleapis.com/auth/gmail.readonly": "Read your mail and its settings",
    "https://www.googleapis.com/auth/gmail.send": "Send mail as you",
    "https://www.googleapis.com/auth/gmail.compose": "Write drafts and send mail as you",
    "https://www.googleapis.com/auth/gmail.modify": "Read, write, send and sort your mail",
    "https://mail.google.com/": "Read, write, send and delete all your mail",
    "https://www.googleapis.com/auth/calendar": "See, change, share and delete all your calendars",
    "https://www.googleapis.com/auth/calendar.readonly": "See your calendars",
    "https://www.googleapis.com/auth/calendar.events": "See and change the events of your calendars",
    "https://www.googleapis.com/auth/calendar.events.readonly": "See the events of your calendars",
    "https://www.googleapis.com/auth/drive": "See, change and delete all your files in Drive",
    "https://www.googleapis.com/auth/drive.readonly": "See all your files in Drive",
    "https://www.googleapis.com/auth/drive.file": "See and change only the Drive files used with this app",
    "https://www.googleapis.com/auth/spreadsheets": "See, change and delete your spreadsheets",
    "https://www.googleapis.com/auth/spreadsheets.readonly": "See your spreadsheets",
    "https://www.googleapis.com/auth/documents": "See, change and delete your documents",
    "https://www.googleapis.com/auth/documents.readonly": "See your documents",
    "https://www.googleapis.com/auth/contacts": "See, change and delete your contacts",
    "https://www.googleapis.com/auth/contacts.readonly": "See your contacts",
    "https://www.googleapis.com/auth/userinfo.email": "See your e-mail address",
    "https://www.googleapis.com/auth/userinfo.profile": "See your name and picture",
    # Microsoft Graph
    "user.read": "See your profile",
    "mail.read": "Read your mail",
    "mail.readwrite": "Read, write and delete your mail",
    "mail.send": "Send mail as you",
    "calendars.read": "See your calendars",
    "calendars.readwrite": "See and change your calendars",
    "contacts.read": "See your contacts",
    "contacts.readwrite": "See and change your contacts",
    "files.read": "See your files",
    "files.read.all": "See all files you have access to",
    "files.readwrite": "See, change and delete your files",
    "files.readwrite.all": "See, change and delete all files you have access to",
    "sites.read.all": "See the SharePoint sites you have access to",
    "chat.read": "Read your chats",
    "chat.readwrite": "Read and write in your chats",
    "channelmessage.send": "Write in channels as you",
    "tasks.read": "See your tasks",
    "tasks.readwrite": "See and change your tasks",
    # Salesforce
    "api": "Read and change what you can read and change",
    "full": "Do everything that you can do",
    "id": "See your profile",
    # GitHub
    "repo": "Read and write all your repositories, private ones too",
    "public_repo": "Read and write your public repositories",
    "read:user": "See your profile",
    "user:email": "See your e-mail addresses",
    "read:org": "See which organizations you are in",
    "gist": "Write gists",
    "workflow": "Change GitHub Actions workflows",
    # Slack
    "channels:read": "See the public channels",
    "channels:history": "Read the public channels",
    "chat:write": "Write messages",
    "users:read": "See who is in the workspace",
    "search:read": "Search messages and files",
}
_CRM = re.compile(r"crm\.(objects|schemas)\.([a-z_]{1,40})\.(read|write)")  # HubSpot's family
_CRM_WORDS = {
    ("objects", "read"): "Read {}",
    ("objects", "write"): "Create, change and delete {}",
    ("schemas", "read"): "See which properties {} have",
    ("schemas", "write"): "Change which properties {} have",
}
_MICROSOFT_GRAPH = "https://graph.microsoft.com/"


def scope_words(scope: str) -> str | None:
    """What the scope allows, as a phrase; None when we do not know it."""
    if crm := _CRM.fullmatch(scope):
        return _CRM_WORDS[crm[1], crm[3]].format(crm[2].replace("_", " "))
    return _WORDS.get(scope.removeprefix(_MICROSOFT_GRAPH).lower())
