package report

import (
	"strings"
	"testing"
)

func watchingRound(round, rate int, subject Subject, apiServer float64) WatchingRound {
	return WatchingRound{
		Round: round, Rate: rate, Subject: subject, Reached: float64(rate) * 0.9,
		CPU: map[string]float64{APIServer: apiServer, Etcd: apiServer / 10, PluginProcess: 3.21},
	}
}

// TestWatching has a round in which the API server has a lot to do by itself, which meets
// both sides, and one that has one side only.
func TestWatching(t *testing.T) {
	w := &Watching{Pods: 17, Writers: 4, Rounds: []WatchingRound{
		watchingRound(0, 500, PluginLive, 480), watchingRound(0, 500, Nobody, 430),
		watchingRound(0, 0, Nobody, 20), watchingRound(0, 0, PluginLive, 26),
		watchingRound(1, 0, PluginLive, 109), watchingRound(1, 0, Nobody, 102),
		watchingRound(2, 0, Nobody, 21), watchingRound(2, 0, PluginLive, 29),
		watchingRound(3, 0, Nobody, 1),
	}}
	if got, ok := w.more(0, APIServer); !ok || got != (Spread{Median: 7, Min: 6, Max: 8}) {
		t.Errorf("got %v, %v", got, ok)
	}
	if got, ok := w.more(50, APIServer); ok {
		t.Errorf("of a rate that was not measured: %v", got)
	}
	const want = `| changes/s |                | reached | kube-apiserver ms/s | more | etcd ms/s | more | plugin ms/s |
| --------: | -------------- | ------: | ------------------: | ---: | --------: | ---: | ----------: |
|         0 | nobody follows |     0.0 |                20.5 |      |       2.0 |      |             |
|         0 | plugin, live   |     0.0 |                29.0 |  7.0 |       2.9 |  0.7 |         3.2 |
|       500 | nobody follows |   450.0 |               430.0 |      |      43.0 |      |             |
|       500 | plugin, live   |   450.0 |               480.0 | 50.0 |      48.0 |  5.0 |         3.2 |
`
	if got := w.table(); !strings.HasPrefix(got, want) || !strings.Contains(got, "4 writers change 17 pods in turn") {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := (&Report{Watching: w}).conditions(); !strings.HasPrefix(got, "- watching, ") {
		t.Errorf("the conditions are %s", got)
	}
}
