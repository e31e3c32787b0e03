// Package consultoken decides what a Consul token gets and has it made: the configuration
// of a mount's Consul, what binding rules come to there, and the making itself, which
// leaves nothing behind. Whose the token is has been verified by then; the package knows
// neither service account tokens nor requests.
package consultoken
