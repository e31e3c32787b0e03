package main

import (
	"context"
	"fmt"
	"os"

	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/proc"
	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/bench/internal/rig"
)

// writers is how many write roles at a time, as an import or a Terraform run does.
const writers = 8

// writes drives both methods with writers of roles, each of a role of its own: where nothing
// is left but the processors' time, and with the storage that most have, on a disk.
func (r *run) writes(ctx context.Context, results *report.Report) error {
	section := &report.Writes{Stamp: r.begin()}
	err := r.withVault(ctx, "writes", func(vault *rig.Vault) (err error) {
		section.Rounds, err = r.writesTo(ctx, vault)
		return err
	})
	if err != nil {
		return err
	}
	disk, err := os.MkdirTemp(onDisk, "bench-raft-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(disk) }()
	if section.Disk, err = proc.FileSystem(disk); err != nil {
		return err
	}
	err = r.withRaftVault(ctx, "raft", disk, func(vault *rig.Vault) (err error) {
		section.Raft, err = r.writesTo(ctx, vault)
		return err
	})
	if err == nil {
		results.Writes = section
	}
	return err
}

// onDisk is a folder for files that outlive a restart of the machine.
const onDisk = "/var/tmp"

func (r *run) writesTo(ctx context.Context, vault *rig.Vault) ([]report.Round, error) {
	var subjects []subject
	var all []load.Caller
	defer func() { load.Close(all) }()
	for _, of := range []struct {
		name   report.Subject
		method rig.Method
	}{{report.BuiltIn, rig.BuiltIn}, {report.Plugin, rig.Plugin}} {
		path := string(of.method)
		if err := vault.NewMount(ctx, path, of.method, "app", r.tokenType, nil); err != nil {
			return nil, err
		}
		callers, err := roleWriters(vault, path, r.tokenType)
		if err != nil {
			return nil, err
		}
		all = append(all, callers...)
		subjects = append(subjects, subject{name: of.name, client: os.Getpid(), run: func(ctx context.Context, clients int, plan load.Plan) (load.Result, error) {
			return load.Run(ctx, callers[:clients], plan)
		}})
	}
	return r.interleave(ctx, vault, subjects, []int{writers})
}

func roleWriters(vault *rig.Vault, path, tokenType string) (callers []load.Caller, err error) {
	for i := range writers {
		caller, err := load.Writer(vault.Addr, vault.RootToken, fmt.Sprintf("auth/%s/role/writer-%d", path, i), rig.RoleFields(tokenType))
		if err != nil {
			return nil, err
		}
		callers = append(callers, caller)
	}
	return callers, nil
}
