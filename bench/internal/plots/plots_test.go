package plots

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/proc"
	"vault-plugin-auth-kubernetes/bench/internal/report"
)

func example() *report.Report {
	t := &report.Throughput{}
	for number := range 2 {
		for _, clients := range []int{1, 16, 64} {
			for i, subject := range []report.Subject{report.BuiltIn, report.Plugin, report.Floor} {
				t.Rounds = append(t.Rounds, report.Round{
					Round: number, Subject: subject, Clients: clients,
					Result: load.Result{Calls: int64(1000 - 100*i), Elapsed: time.Second, P50: time.Duration(i+1) * time.Millisecond},
					CPU:    map[string]float64{report.VaultProcess: 400, report.APIServer: 500, report.Client: 100},
				})
			}
		}
	}
	e := &report.Endurance{}
	for i := range int64(10) {
		e.Samples = append(e.Samples, report.Sample{Logins: 1000 * i, State: proc.Footprint{RSS: 50 << 20}})
	}
	return &report.Report{Throughput: t, Endurance: e}
}

func TestDraw(t *testing.T) {
	images, err := Draw(example())
	if err != nil {
		t.Fatal(err)
	}
	again, err := Draw(example())
	if err != nil {
		t.Fatal(err)
	}
	for name, label := range map[string]string{
		"throughput.svg": "64 clients", "latency.svg": "1 client", "cpu.svg": "16 clients", "memory.svg": "MiB",
	} {
		image := images[name]
		if !bytes.Contains(image, []byte(label)) {
			t.Errorf("%s does not say %q", name, label)
		}
		if !bytes.Equal(image, again[name]) {
			t.Errorf("%s is another each time", name)
		}
		for decoder := xml.NewDecoder(bytes.NewReader(image)); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
	}
	if len(images) != 4 {
		t.Errorf("%d plots", len(images))
	}
}

func TestDrawNothing(t *testing.T) {
	for name, r := range map[string]*report.Report{
		"empty":         {},
		"without round": {Throughput: &report.Throughput{}, Endurance: &report.Endurance{}},
	} {
		if images, err := Draw(r); err != nil || len(images) > 0 {
			t.Errorf("%s: %d plots, %v", name, len(images), err)
		}
	}
}
