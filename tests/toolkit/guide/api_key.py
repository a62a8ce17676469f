from atp_sdk.clients import ToolKitClient

client = ToolKitClient(api_key="", app_name="")

@client.register_tool(
    function_name="get_data",
    params=[],
    required_params=[],
    description="Fetches data using an API key.",
    auth_provider="my_service",
    auth_type="apiKey",
    auth_with="api_key"
)
def get_data(**kwargs):
    api_key = kwargs.get('auth_token')
    # Use the API key to make requests
    return {"key_length": len(api_key)}

client.start()
