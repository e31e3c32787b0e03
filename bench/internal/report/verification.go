package report

import (
	"fmt"

	"vault-plugin-auth-kubernetes/bench/internal/proc"
)

// The plugin with verification=keys and live.
const (
	PluginKeys Subject = "plugin, keys"
	PluginLive Subject = "plugin, live"
)

// Ways are what sections about verification compare.
var Ways = []Subject{BuiltIn, Plugin, PluginKeys, PluginLive}

// Verification is logins with tokens that nobody has seen before, by each way to verify
// them, beside the built-in.
type Verification struct {
	Stamp     Stamp   `json:"stamp"`
	TokenType string  `json:"token_type"`
	Rounds    []Round `json:"rounds"`
}

// Storm is pods that log in once each, all at once.
type Storm struct {
	Stamp     Stamp        `json:"stamp"`
	TokenType string       `json:"token_type"`
	Rounds    []StormRound `json:"rounds"`
}

// StormRound is one storm of one subject, spread over so many mounts.
type StormRound struct {
	Round
	Mounts int `json:"mounts"`
}

// Following is the plugin's process before and after it follows a cluster, and after it
// listed all anew over what it knew. What was resident at most is of each by itself.
type Following struct {
	Stamp    Stamp           `json:"stamp"`
	Pods     int             `json:"pods"`
	Accounts int             `json:"accounts"`
	Idle     proc.Footprint  `json:"idle"`
	After    proc.Footprint  `json:"after"`
	Relisted *proc.Footprint `json:"relisted,omitempty"` // nil in results from before it was measured
}

func (v *Verification) table() string {
	if v == nil {
		return notMeasured
	}
	rows := [][]string{{"clients", "", "logins/s", "to built-in", "p50 ms", "to built-in", "p99 ms", "vault µs", "plugin µs", "kube-apiserver µs", "to built-in"}}
	for _, clients := range Concurrencies(v.Rounds) {
		for _, way := range Ways {
			value := func(format string, figure Figure) string {
				return median(format)(spreadOver(v.Rounds, way, clients, figure))
			}
			ratio := func(figure Figure) string {
				return median("%.2f")(RatioOver(v.Rounds, clients, Side{way, figure}, Side{BuiltIn, figure}))
			}
			rows = append(rows, []string{
				fmt.Sprint(clients), string(way), value("%.0f", PerSecond), ratio(PerSecond), value("%.2f", P50), ratio(P50), value("%.2f", P99),
				value("%.0f", CPU(VaultProcess)), value("%.0f", CPU(PluginProcess)), value("%.0f", CPU(APIServer)), ratio(CPU(APIServer)),
			})
		}
	}
	return grid(rows) + fmt.Sprintf("\nMedians of %d rounds; %s tokens.\n", countRounds(v.Rounds), v.TokenType)
}

// over are the rounds over so many mounts.
func (s *Storm) over(mounts int) (rounds []Round) {
	for _, r := range s.Rounds {
		if r.Mounts == mounts {
			rounds = append(rounds, r.Round)
		}
	}
	return rounds
}

func (s *Storm) table() string {
	if s == nil {
		return notMeasured
	}
	rows := [][]string{{"mounts", "", "seconds", "logins/s", "to built-in", "p50 ms", "p99 ms", "kube-apiserver µs"}}
	seconds := func(r Round) float64 { return r.Result.Elapsed.Seconds() }
	last, calls := 0, int64(0)
	for _, r := range s.Rounds {
		if calls = r.Result.Calls; r.Mounts == last {
			continue
		}
		last = r.Mounts
		for _, way := range Ways {
			rounds := s.over(last)
			value := func(format string, figure Figure) string {
				return median(format)(spreadOver(rounds, way, r.Clients, figure))
			}
			rows = append(rows, []string{
				fmt.Sprint(last), string(way), value("%.1f", seconds), value("%.0f", PerSecond),
				median("%.2f")(RatioOver(rounds, r.Clients, Side{way, PerSecond}, Side{BuiltIn, PerSecond})),
				value("%.2f", P50), value("%.2f", P99), value("%.0f", CPU(APIServer)),
			})
		}
	}
	return grid(rows) + fmt.Sprintf("\n%d pods that log in once each; %s tokens. No login failed: the first that does ends the run.\n", calls, s.TokenType)
}

func (f *Following) table() string {
	if f == nil {
		return notMeasured
	}
	row := func(name string, p proc.Footprint) []string {
		return []string{name, mib(p.RSS), mib(p.Peak), fmt.Sprint(p.Threads)}
	}
	rows := [][]string{
		{"", "resident MiB", "at most", "threads"},
		row("before anything is followed", f.Idle),
		row(fmt.Sprintf("%d pods and %d service accounts followed", f.Pods, f.Accounts), f.After),
	}
	if f.Relisted == nil {
		return grid(rows) + "\nWhat it is when all is listed anew was not measured.\n"
	}
	return grid(append(rows, row("all listed anew", *f.Relisted)))
}
