"""Logs in once with hvac, and prints the accessor of the token or the error."""
import json
import os

import hvac

client = hvac.Client(url=os.environ["VAULT_ADDR"])
with open(os.environ["JWT_FILE"]) as file:
    jwt = file.read()
try:
    if os.environ["WRAPPED"] == "true":
        answer = client.write(
            "auth/" + os.environ["MOUNT"] + "/login", wrap_ttl="60s", role=os.environ["ROLE"], jwt=jwt)
        said = {"accessor": answer["wrap_info"]["wrapped_accessor"]}
    else:
        answer = client.auth.kubernetes.login(os.environ["ROLE"], jwt, mount_point=os.environ["MOUNT"])
        said = {"accessor": answer["auth"]["accessor"]}
except hvac.exceptions.VaultError as error:
    said = {"error": type(error).__name__, "text": str(error)}
print(json.dumps(said))
