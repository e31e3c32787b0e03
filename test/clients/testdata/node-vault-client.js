// Keeps a token with node-vault-client, which renews it and logs in again once it has
// expired, as the client is used: something reads from Vault again and again.
const VaultClient = require('node-vault-client');

const client = new VaultClient({
  api: { url: process.env.VAULT_ADDR },
  auth: {
    type: 'kubernetes',
    mount: process.env.MOUNT,
    config: { role: process.env.ROLE, tokenPath: process.env.JWT_FILE },
  },
  logger: console,
});

const read = () => client.read('auth/token/lookup-self')
  .then(() => console.log('read'))
  .catch((error) => console.log(`failed: ${error.message}`))
  .then(() => setTimeout(read, 500));
read();
