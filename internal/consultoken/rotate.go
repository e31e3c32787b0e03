package consultoken

import (
	"context"
	"fmt"

	"vault-plugin-auth-kubernetes/internal/consulacl"
)

// Rotate replaces the plugin's own token: a new one is made, which may do the same,
// and the old one deleted. Before each step storage is told what has to be deleted should
// this be the last one; store stores, and its error ends the rotation. What an earlier one
// left is deleted first.
func Rotate(ctx context.Context, m *Mint, store func(*Entry) error) error {
	entry := *m.Config
	own, err := m.Client.Self(ctx)
	if err != nil {
		return err
	}
	if err := deleteRetired(ctx, m, &entry, store); err != nil {
		return err
	}
	replacement := consulacl.NewToken{
		AccessorID: consulacl.NewUUID(), SecretID: consulacl.NewUUID(),
		Description: own.Description, Local: own.Local, Namespace: own.Namespace, Privileges: own.Privileges,
	}
	entry.Retired = replacement.AccessorID // until it is in use
	if err := store(&entry); err != nil {
		return err
	}
	made, err := m.Client.Mint(ctx, replacement)
	if err != nil {
		return fmt.Errorf("no new token was made: %w", err)
	}
	entry.Token, entry.Retired = made.SecretID, own.AccessorID
	if err := store(&entry); err != nil {
		return err
	}
	// The old one cannot delete itself.
	if err := m.Client.RevokeWith(ctx, made.SecretID, own.AccessorID); err != nil {
		return fmt.Errorf("the new token is in use, and the old one, with the accessor %s, could not be deleted; rotate again to try it anew: %w", own.AccessorID, err)
	}
	entry.Retired = ""
	return store(&entry)
}

func deleteRetired(ctx context.Context, m *Mint, entry *Entry, store func(*Entry) error) error {
	if entry.Retired == "" {
		return nil
	}
	if err := m.Client.Revoke(ctx, entry.Retired); err != nil {
		return fmt.Errorf("the token with the accessor %s, which an earlier rotation left, could not be deleted: %w", entry.Retired, err)
	}
	entry.Retired = ""
	return store(entry)
}
