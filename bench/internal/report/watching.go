package report

import (
	"fmt"
	"maps"
	"slices"
)

// Nobody is a cluster that is not followed.
const Nobody Subject = "nobody follows"

// Watching is what a cluster that is followed costs while its pods change and nobody logs
// in, beside the same cluster that is not.
type Watching struct {
	Stamp   Stamp           `json:"stamp"`
	Pods    int             `json:"pods"`    // that change in turn
	Writers int             `json:"writers"` // that change them
	Rounds  []WatchingRound `json:"rounds"`
}

// WatchingRound is pods that change at one rate, with or without one mount that follows.
type WatchingRound struct {
	Round   int     `json:"round"`
	Subject Subject `json:"subject"` // Nobody or PluginLive
	Rate    int     `json:"rate"`    // changes a second that were asked for
	Reached float64 `json:"reached"` // and those that there were
	// CPU is the milliseconds that each process spent in a second.
	CPU map[string]float64 `json:"cpu"`
}

// rates are those that were asked for, from the lowest.
func (w *Watching) rates() []int {
	var rates []int
	for _, r := range w.Rounds {
		rates = append(rates, r.Rate)
	}
	slices.Sort(rates)
	return slices.Compact(rates)
}

// values are those of a figure at one rate, by the round.
func (w *Watching) values(rate int, subject Subject, figure func(WatchingRound) float64) map[int]float64 {
	values := map[int]float64{}
	for _, r := range w.Rounds {
		if r.Rate == rate && r.Subject == subject {
			values[r.Round] = figure(r)
		}
	}
	return values
}

// more is by how much a process spends more where somebody follows than where nobody does,
// within each round; false if no round has both.
func (w *Watching) more(rate int, process string) (Spread, bool) {
	spent := func(r WatchingRound) float64 { return r.CPU[process] }
	without := w.values(rate, Nobody, spent)
	var differences []float64
	for round, with := range w.values(rate, PluginLive, spent) {
		if base, ok := without[round]; ok {
			differences = append(differences, with-base)
		}
	}
	if len(differences) == 0 {
		return Spread{}, false
	}
	return SpreadOf(differences), true
}

func (w *Watching) table() string {
	if w == nil {
		return notMeasured
	}
	rows := [][]string{{"changes/s", "", "reached", "kube-apiserver ms/s", "more", "etcd ms/s", "more", "plugin ms/s"}}
	rounds := 0
	for _, rate := range w.rates() {
		for _, subject := range []Subject{Nobody, PluginLive} {
			value := func(figure func(WatchingRound) float64) string {
				values := w.values(rate, subject, figure)
				rounds = max(rounds, len(values))
				return medianOf(values)
			}
			spent := func(process string) string {
				return value(func(r WatchingRound) float64 { return r.CPU[process] })
			}
			more, plugin := func(string) string { return "" }, ""
			if subject == PluginLive {
				more = func(process string) string { return median("%.1f")(w.more(rate, process)) }
				plugin = spent(PluginProcess)
			}
			rows = append(rows, []string{
				fmt.Sprint(rate), string(subject), value(func(r WatchingRound) float64 { return r.Reached }),
				spent(APIServer), more(APIServer), spent(Etcd), more(Etcd), plugin,
			})
		}
	}
	return grid(rows) + fmt.Sprintf("\nMedians of %d rounds; *more* is the median of the differences within a round. %d writers change %d pods in turn.\n",
		rounds, w.Writers, w.Pods)
}

func medianOf(values map[int]float64) string {
	if len(values) == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", SpreadOf(slices.Collect(maps.Values(values))).Median)
}
