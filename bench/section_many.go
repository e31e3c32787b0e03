package main

import (
	"context"
	"fmt"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/bench/internal/rig"
)

// manyRoles compares a mount with one role to a mount with many, in one process.
func (r *run) manyRoles(ctx context.Context, results *report.Report) error {
	section := &report.Roles{Stamp: r.begin(), Roles: r.roles}
	err := r.withVault(ctx, "roles", func(vault *rig.Vault) error {
		for _, mount := range []string{"one", "many"} {
			if err := vault.NewMount(ctx, mount, rig.Plugin, "app", r.tokenType, nil); err != nil {
				return err
			}
			// Memory that logins alone take must not count as memory of roles.
			if err := r.drive(ctx, vault, mount, "app", int64(r.roles)); err != nil {
				return err
			}
		}
		if err := r.writeRoles(ctx, vault, section); err != nil {
			return err
		}
		return r.compareRoles(ctx, vault, section)
	})
	if err == nil {
		results.Roles = section
	}
	return err
}

// writeRoles writes the roles and logs in at each, and looks at the process between.
func (r *run) writeRoles(ctx context.Context, vault *rig.Vault, section *report.Roles) (err error) {
	if section.Before, err = footprint(ctx, vault); err != nil {
		return err
	}
	roles := names("role", r.roles)
	if err := vault.Roles(ctx, "many", roles, r.tokenType); err != nil {
		return err
	}
	if section.Written, err = footprint(ctx, vault); err != nil {
		return err
	}
	callers, err := r.atRoles(manyClients, vault, roles)
	if err != nil {
		return err
	}
	defer load.Close(callers)
	// As many calls as roles are one login at each: a body has one role.
	if _, err := load.Run(ctx, callers, load.Plan{Calls: int64(max(r.roles, r.tokens))}); err != nil {
		return err
	}
	section.Used, err = footprint(ctx, vault)
	return err
}

func (r *run) atRoles(clients int, vault *rig.Vault, roles []string) ([]load.Caller, error) {
	bodies, err := load.LoginBodies(roles, r.rig.Tokens)
	if err != nil {
		return nil, err
	}
	return load.Logins(clients, vault.Addr, "many", bodies), nil
}

// compareRoles has a single client log in at both mounts in turn.
func (r *run) compareRoles(ctx context.Context, vault *rig.Vault, section *report.Roles) error {
	one, err := r.logins(1, vault, "one", "app")
	if err != nil {
		return err
	}
	defer load.Close(one)
	many, err := r.atRoles(1, vault, names("role", r.roles))
	if err != nil {
		return err
	}
	defer load.Close(many)
	for number := range r.rounds {
		var pair report.RolesPair
		for _, side := range inTurn(number, []struct {
			callers []load.Caller
			result  *load.Result
		}{{one, &pair.One}, {many, &pair.Many}}) {
			if err := pause(ctx); err != nil {
				return err
			}
			if *side.result, err = load.Run(ctx, side.callers, load.Plan{Duration: r.duration}); err != nil {
				return err
			}
		}
		section.Pairs = append(section.Pairs, pair)
	}
	return nil
}

// manyMounts fills one process with mounts, each with a configuration, a role and
// one login.
func (r *run) manyMounts(ctx context.Context, results *report.Report) error {
	section := &report.Mounts{Stamp: r.begin(), Mounts: r.mounts}
	err := r.withVault(ctx, "mounts", func(vault *rig.Vault) (err error) {
		if err := vault.NewMount(ctx, "first", rig.Plugin, "app", r.tokenType, nil); err != nil {
			return err
		}
		// As many logins as will be made at the others, so that only the mounts differ.
		if err := r.drive(ctx, vault, "first", "app", int64(r.mounts)); err != nil {
			return err
		}
		if section.One, err = footprint(ctx, vault); err != nil {
			return err
		}
		if err := r.mountAll(ctx, vault, section); err != nil {
			return err
		}
		if section.Mounted, err = footprint(ctx, vault); err != nil {
			return err
		}
		if err := r.useAll(ctx, vault); err != nil {
			return err
		}
		if section.Used, err = footprint(ctx, vault); err != nil {
			return err
		}
		pids, err := vault.PluginPIDs()
		section.Processes = len(pids)
		return err
	})
	if err == nil {
		results.Mounts = section
	}
	return err
}

func (r *run) mountAll(ctx context.Context, vault *rig.Vault, section *report.Mounts) error {
	tenth := max(1, r.mounts/10)
	for i, path := range names("mount", r.mounts) {
		began := time.Now()
		if err := vault.Mount(ctx, path, rig.Plugin); err != nil {
			return err
		}
		took := time.Since(began)
		if i < tenth {
			section.FirstMounts = append(section.FirstMounts, took)
		}
		if i >= r.mounts-tenth {
			section.LastMounts = append(section.LastMounts, took)
		}
		if (i+1)%100 == 0 {
			fmt.Fprintf(r.progress, "  %d mounts\n", i+1)
		}
	}
	return nil
}

func (r *run) useAll(ctx context.Context, vault *rig.Vault) error {
	for _, path := range names("mount", r.mounts) {
		if err := vault.Configure(ctx, path, nil); err != nil {
			return err
		}
		if err := vault.Role(ctx, path, "app", r.tokenType); err != nil {
			return err
		}
		callers, err := r.logins(1, vault, path, "app")
		if err != nil {
			return err
		}
		_, err = load.Run(ctx, callers, load.Plan{Calls: 1})
		load.Close(callers)
		if err != nil {
			return err
		}
	}
	return nil
}
