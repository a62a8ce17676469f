from atp_sdk.clients import LLMClient

llm_client = LLMClient(api_key="YOUR_ATP_LLM_CLIENT_API_KEY")

# Initiate OAuth connection
connection = llm_client.initiate_oauth_connection(
    platform_id="hubspot",
    external_user_id="user@example.com",
    developer_redirect_url="https://your-app.com/oauth/callback"
)

# Get the authorization URL
auth_url = connection["authorization_url"]
print(f"Authorize at: {auth_url}")

# Wait for the user to authorize
account = llm_client.wait_for_connection(
    platform_id="hubspot",
    external_user_id="user@example.com"
)
print(f"Integration ID: {account['integration_id']}")

tokens = llm_client.get_user_tokens(
    platform_id="hubspot",
    external_user_id="user@example.com"
)
print(f"Access token: {tokens['access_token']}")
print(f"Refresh token: {tokens['refresh_token']}")
