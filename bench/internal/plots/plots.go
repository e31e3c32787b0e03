// Package plots draws what was measured. The same report gives the same files.
package plots

import (
	"bytes"
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	_ "gonum.org/v1/plot/vg/vgsvg" // the format of the files

	"vault-plugin-auth-kubernetes/bench/internal/report"
)

const (
	width    = 16 * vg.Centimeter
	height   = 9 * vg.Centimeter
	barWidth = 1.6 * vg.Centimeter
)

// fontFamily are fonts of the same widths as the one that the plots are laid out for,
// which few machines have.
const fontFamily = "font-family:Liberation Sans,Arial,Helvetica,sans-serif"

// Colours that people with colour blindness can tell apart (Okabe and Ito).
var (
	blue   = color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}
	orange = color.RGBA{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff}
	green  = color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff}
	grey   = color.RGBA{R: 0x99, G: 0x99, B: 0x99, A: 0xff}
	black  = color.RGBA{A: 0xff}
)

// Draw returns the plots as SVG by their file names. There is none for a section
// that was not measured.
func Draw(r *report.Report) (map[string][]byte, error) {
	images := map[string][]byte{}
	for name, draw := range map[string]func(*report.Report) (*plot.Plot, error){
		"throughput.svg": throughput,
		"latency.svg":    latency,
		"cpu.svg":        cpu,
		"memory.svg":     memory,
	} {
		p, err := draw(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if p == nil {
			continue
		}
		image, err := p.WriterTo(width, height, "svg")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var b bytes.Buffer
		if _, err := image.WriteTo(&b); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		images[name] = bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans"), []byte(fontFamily))
	}
	return images, nil
}

func newPlot(title, y string) *plot.Plot {
	p := plot.New()
	for _, style := range []*text.Style{
		&p.Title.TextStyle, &p.Legend.TextStyle,
		&p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label,
	} {
		style.Font.Variant = "Sans"
	}
	p.Title.Text = title
	p.Title.Padding = vg.Points(6)
	p.Y.Label.Text = y
	p.Y.Min = 0
	p.Legend.Top = true
	p.Legend.Padding = vg.Points(2)
	grid := plotter.NewGrid()
	grid.Vertical.Color = nil
	p.Add(grid)
	return p
}

// nominal names bars, and leaves half a bar's room on both sides.
func nominal(p *plot.Plot, labels ...string) {
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.5, float64(len(labels))-0.5
}

// spreads draws medians as bars, and from least to most as a line on each.
func spreads(p *plot.Plot, labels []string, values []report.Spread, fill color.Color) error {
	medians := make(plotter.Values, len(values))
	points := make(plotter.XYs, len(values))
	ranges := make(plotter.YErrors, len(values))
	for i, v := range values {
		medians[i] = v.Median
		points[i] = plotter.XY{X: float64(i), Y: v.Median}
		ranges[i].Low, ranges[i].High = v.Median-v.Min, v.Max-v.Median
	}
	bars, err := plotter.NewBarChart(medians, barWidth)
	if err != nil {
		return err
	}
	bars.Color, bars.LineStyle.Width = fill, 0
	lines, err := plotter.NewYErrorBars(struct {
		plotter.XYs
		plotter.YErrors
	}{points, ranges})
	if err != nil {
		return err
	}
	lines.Color = black
	p.Add(bars, lines)
	nominal(p, labels...)
	return nil
}

func throughput(r *report.Report) (*plot.Plot, error) {
	if r.Throughput == nil {
		return nil, nil
	}
	var labels []string
	var values []report.Spread
	for _, clients := range report.Concurrencies(r.Throughput.Rounds) {
		ratio, ok := report.RatioOver(r.Throughput.Rounds, clients,
			report.Side{Subject: report.Plugin, Figure: report.PerSecond},
			report.Side{Subject: report.BuiltIn, Figure: report.PerSecond})
		if !ok {
			continue
		}
		labels = append(labels, countOf(clients))
		values = append(values, ratio)
	}
	if len(values) == 0 {
		return nil, nil
	}
	p := newPlot("Logins a second, as a part of the built-in method's", "plugin / built-in")
	if err := spreads(p, labels, values, blue); err != nil {
		return nil, err
	}
	same := plotter.NewFunction(func(float64) float64 { return 1 })
	same.Color, same.Width = orange, vg.Points(1.5)
	p.Add(same)
	p.Legend.Add("built-in", same)
	p.Y.Max = max(1.25, p.Y.Max)
	return p, nil
}

func countOf(clients int) string {
	if clients == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", clients)
}

// latency is of the least concurrency, where nothing waits for a turn.
func latency(r *report.Report) (*plot.Plot, error) {
	if r.Throughput == nil || len(r.Throughput.Rounds) == 0 {
		return nil, nil
	}
	clients := report.Concurrencies(r.Throughput.Rounds)[0]
	var labels []string
	var values []report.Spread
	for _, subject := range []report.Subject{report.BuiltIn, report.Plugin, report.Floor} {
		if v, ok := r.Throughput.SpreadFor(subject, clients, report.P50); ok {
			labels = append(labels, string(subject))
			values = append(values, v)
		}
	}
	p := newPlot("p50 of a login, "+countOf(clients), "milliseconds")
	return p, spreads(p, labels, values, blue)
}

// cpu stacks what each process spends on a login, at the middle concurrency.
func cpu(r *report.Report) (*plot.Plot, error) {
	if r.Throughput == nil || len(r.Throughput.Rounds) == 0 {
		return nil, nil
	}
	all := report.Concurrencies(r.Throughput.Rounds)
	clients := all[len(all)/2]
	subjects := []report.Subject{report.BuiltIn, report.Plugin, report.Floor}
	p := newPlot("CPU time of one login, "+countOf(clients), "microseconds")
	var below *plotter.BarChart
	for _, layer := range []struct {
		name   string
		color  color.Color
		figure func(report.Subject) report.Figure
	}{
		{"kube-apiserver, etcd", grey, always(report.CPU(report.APIServer, report.Etcd))},
		{"vault", orange, always(report.CPU(report.VaultProcess))},
		{"plugin", blue, always(report.CPU(report.PluginProcess))},
		// For the two methods the client is the load generator, which is no part of
		// them; for the floor it is all there is.
		{"bare client", green, func(s report.Subject) report.Figure {
			if s != report.Floor {
				return report.CPU()
			}
			return report.CPU(report.Client)
		}},
	} {
		var values plotter.Values
		for _, subject := range subjects {
			v, _ := r.Throughput.SpreadFor(subject, clients, layer.figure(subject))
			values = append(values, v.Median)
		}
		bars, err := plotter.NewBarChart(values, barWidth)
		if err != nil {
			return nil, err
		}
		bars.Color, bars.LineStyle.Width = layer.color, 0
		if below != nil {
			bars.StackOn(below)
		}
		below = bars
		p.Add(bars)
		p.Legend.Add(layer.name, bars)
	}
	nominal(p, string(report.BuiltIn), string(report.Plugin), string(report.Floor))
	p.Y.Max *= 1.2 // room for the legend
	return p, nil
}

func always(f report.Figure) func(report.Subject) report.Figure {
	return func(report.Subject) report.Figure { return f }
}

func memory(r *report.Report) (*plot.Plot, error) {
	if r.Endurance == nil || len(r.Endurance.Samples) == 0 {
		return nil, nil
	}
	points := make(plotter.XYs, len(r.Endurance.Samples))
	for i, s := range r.Endurance.Samples {
		points[i] = plotter.XY{X: float64(s.Logins) / 1000, Y: float64(s.State.RSS) / (1 << 20)}
	}
	p := newPlot("Resident memory of the plugin in one long run", "MiB")
	p.X.Label.Text = "logins, thousands"
	p.X.Min = 0
	line, err := plotter.NewLine(points)
	if err != nil {
		return nil, err
	}
	line.Color, line.Width = blue, vg.Points(1.5)
	p.Add(line)
	p.Y.Max *= 1.25
	return p, nil
}
