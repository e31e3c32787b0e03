// Package report holds what was measured, as it is kept in JSON, and makes the tables
// of it. Only what was measured is kept; medians and ratios are computed from it, so
// that a table can be checked against its file.
package report

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/proc"
)

// Report is all that was measured. A section that was not is nil.
type Report struct {
	Throughput *Throughput `json:"throughput,omitempty"`
	Cache      *Cache      `json:"cache,omitempty"`
	Memory     *Memory     `json:"memory,omitempty"`
	Roles      *Roles      `json:"roles,omitempty"`
	Writes     *Writes     `json:"writes,omitempty"`
	Mounts     *Mounts     `json:"mounts,omitempty"`
	Endurance  *Endurance  `json:"endurance,omitempty"`
	Start      *Start      `json:"start,omitempty"`

	Verification *Verification `json:"verification,omitempty"`
	Storm        *Storm        `json:"storm,omitempty"`
	Following    *Following    `json:"following,omitempty"`
	Watching     *Watching     `json:"watching,omitempty"`
}

// Stamp says when, where and of what a section was measured.
type Stamp struct {
	Began      time.Time    `json:"began"`
	Machine    proc.Machine `json:"machine"`
	Go         string       `json:"go"`
	Plugin     string       `json:"plugin"`
	Revision   string       `json:"revision"` // of the source; ends with + if that was changed
	Vault      string       `json:"vault"`
	BuiltIn    string       `json:"built_in"` // the version of Vault's own method
	Kubernetes string       `json:"kubernetes"`
	LogLevel   string       `json:"log_level"`
	// VaultConfig are further settings of the server.
	VaultConfig map[string]any `json:"vault_config,omitempty"`
	Storage     string         `json:"storage"` // kind of the file system that Vault stores on
	Tokens      int            `json:"tokens"`  // service accounts that log in in turn, each with one token
}

// Subject is what was driven in a round.
type Subject string

// The subjects.
const (
	BuiltIn Subject = "built-in"
	Plugin  Subject = "plugin"
	Floor   Subject = "TokenReview alone"
	// PacedFloor makes as many reviews a second as the plugin made in its last
	// round with as many clients.
	PacedFloor Subject = "TokenReview, paced"
)

// Processes whose CPU time is measured.
const (
	VaultProcess  = "vault"
	PluginProcess = "plugin"
	APIServer     = "kube-apiserver"
	Etcd          = "etcd"
	// Client is who asks: the load generator for the two methods, the client of
	// TokenReviews for the floor.
	Client = "client"
)

// Round is one run of one subject. CPU is the microseconds that each process spent
// during the round, divided by the calls of the round.
type Round struct {
	Round   int                `json:"round"`
	Subject Subject            `json:"subject"`
	Clients int                `json:"clients"`
	Result  load.Result        `json:"result"`
	CPU     map[string]float64 `json:"cpu"`
}

// Throughput is logins of both methods and the bare review, in interleaved rounds.
type Throughput struct {
	Stamp     Stamp   `json:"stamp"`
	TokenType string  `json:"token_type"`
	Rounds    []Round `json:"rounds"`
}

// Cache is logins with token_review_cache_ttl on, beside the built-in.
type Cache struct {
	Stamp     Stamp         `json:"stamp"`
	TokenType string        `json:"token_type"`
	TTL       time.Duration `json:"ttl"` // nanoseconds
	Rounds    []Round       `json:"rounds"`

	// A run that began with nothing remembered: what it came to, and how many
	// TokenReviews the API server counted meanwhile. Windows is how many windows of
	// the TTL the run began.
	Counted load.Result `json:"counted"`
	Reviews int64       `json:"reviews"`
	Windows int64       `json:"windows"`
}

// Memory is the plugin's process before and after logins.
type Memory struct {
	Stamp   Stamp          `json:"stamp"`
	Clients int            `json:"clients"`
	Idle    proc.Footprint `json:"idle"`
	Logins  int64          `json:"logins"`
	After   proc.Footprint `json:"after"`
	Binary  int64          `json:"binary"` // bytes of the plugin's file
}

// Roles is logins at a mount with one role and at one with many, by a single client.
type Roles struct {
	Stamp Stamp       `json:"stamp"`
	Roles int         `json:"roles"`
	Pairs []RolesPair `json:"pairs"`

	Before  proc.Footprint `json:"before"`  // nothing of the roles was read yet
	Written proc.Footprint `json:"written"` // all are written
	Used    proc.Footprint `json:"used"`    // a login went to each
}

// RolesPair is one round of each.
type RolesPair struct {
	One  load.Result `json:"one"`
	Many load.Result `json:"many"`
}

// Writes is roles written to both methods, each writer its own.
type Writes struct {
	Stamp  Stamp   `json:"stamp"`
	Rounds []Round `json:"rounds"` // with files on the stamp's storage
	Raft   []Round `json:"raft"`   // with integrated storage
	Disk   string  `json:"disk"`   // the file system that the latter is on
}

// Mounts is one process with many mounts.
type Mounts struct {
	Stamp     Stamp          `json:"stamp"`
	Mounts    int            `json:"mounts"`
	One       proc.Footprint `json:"one"`       // with one mount that was used
	Mounted   proc.Footprint `json:"mounted"`   // all are mounted
	Used      proc.Footprint `json:"used"`      // all are configured and a login went to each
	Processes int            `json:"processes"` // of the plugin, in the end

	// How long mounting took, of the first tenth and of the last.
	FirstMounts []time.Duration `json:"first_mounts"` // nanoseconds
	LastMounts  []time.Duration `json:"last_mounts"`
}

// Endurance is one long run.
type Endurance struct {
	Stamp     Stamp       `json:"stamp"`
	Clients   int         `json:"clients"`
	TokenType string      `json:"token_type"`
	Baseline  int64       `json:"baseline"` // logins after which the process is taken for warm
	Result    load.Result `json:"result"`
	Samples   []Sample    `json:"samples"`
}

// Sample is the plugin's process at some point of a run.
type Sample struct {
	Logins     int64          `json:"logins"`
	State      proc.Footprint `json:"state"`
	Goroutines int64          `json:"goroutines"`
}

// Start is how long it takes until the plugin answers, each several times.
type Start struct {
	Stamp Stamp `json:"stamp"`
	// Handshake is from exec to the line with which the plugin tells its host where
	// it listens.
	Handshake []time.Duration `json:"handshake"` // nanoseconds
	// FirstMount is mounting where no process of the plugin runs, FurtherMount
	// where one does, BuiltInMount that of Vault's own method.
	FirstMount   []time.Duration `json:"first_mount"`
	FurtherMount []time.Duration `json:"further_mount"`
	BuiltInMount []time.Duration `json:"built_in_mount"`
	// Reload is from the request to reload until a mount has answered a read.
	Reload []time.Duration `json:"reload"`
}

// Read reads a report; one that does not exist is empty.
func Read(path string) (*Report, error) {
	r := &Report{}
	content, err := os.ReadFile(path) //nolint:gosec // the path is the caller's to choose
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(content, r)
}

// Write writes a report as a whole or not at all.
func Write(path string, r *Report) error {
	content, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // results are no secret
		return err
	}
	temp := path + ".tmp"
	if err := os.WriteFile(temp, append(content, '\n'), 0o644); err != nil { //nolint:gosec // results are no secret
		return err
	}
	return os.Rename(temp, path)
}
