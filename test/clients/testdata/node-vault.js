// Logs in once with node-vault, and prints the accessor of the token or the error.
const fs = require('fs');
const wrapped = process.env.WRAPPED === 'true';
const vault = require('node-vault')({
  endpoint: process.env.VAULT_ADDR,
  requestOptions: wrapped ? { headers: { 'X-Vault-Wrap-TTL': '60' } } : {},
});
const jwt = fs.readFileSync(process.env.JWT_FILE, 'utf8');

vault.kubernetesLogin({ role: process.env.ROLE, jwt, mount_point: process.env.MOUNT })
  .then((answer) => ({ accessor: wrapped ? answer.wrap_info.wrapped_accessor : answer.auth.accessor }))
  .catch((error) => ({
    error: error.response ? `status ${error.response.statusCode}` : error.name,
    text: error.message,
  }))
  .then((said) => console.log(JSON.stringify(said)));
