package metrics

import (
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Outcomes counts what came of something, by zone. Where zones have no series of their own, the label is empty.
type Outcomes struct {
	vec      *prometheus.CounterVec
	outcomes []string
	zoneless *atomic.Bool
}

func newOutcomes(zoneless *atomic.Bool, name, help, label string, outcomes ...string) *Outcomes {
	o := &Outcomes{prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"zone", label}), outcomes, zoneless}
	o.Begin("")
	return o
}

// Begin has the counters of a zone begin at zero, so that a rate counts the first event too.
func (o *Outcomes) Begin(zone string) {
	for _, outcome := range o.outcomes {
		o.vec.WithLabelValues(o.label(zone), outcome)
	}
}

// Count counts an event. The zone is "" where what was asked for is none that is served: nobody else can make up labels.
func (o *Outcomes) Count(zone, outcome string) { o.vec.WithLabelValues(o.label(zone), outcome).Inc() }

// Of counts the events of one outcome.
func (o *Outcomes) Of(outcome string) func(zone string) {
	return func(zone string) { o.Count(zone, outcome) }
}

func (o *Outcomes) label(zone string) string {
	if o.zoneless.Load() {
		return ""
	}
	return zone
}

// Sum is how many events of each outcome there were, of all zones.
func (o *Outcomes) Sum() map[string]float64 {
	sum := map[string]float64{}
	eachMetric(o.vec, func(m *dto.Metric) {
		for _, pair := range m.GetLabel() {
			if pair.GetName() != "zone" {
				sum[pair.GetValue()] += m.GetCounter().GetValue()
			}
		}
	})
	return sum
}

// forget drops the counters of a zone.
func (o *Outcomes) forget(zone string) { o.vec.DeletePartialMatch(prometheus.Labels{"zone": zone}) }

// gone are the zones of a list that are not in another.
func gone(before, now []Zone) (names []string) {
	stay := make(map[string]bool, len(now))
	for i := range now {
		stay[now[i].Name] = true
	}
	for i := range before {
		if name := before[i].Name; !stay[name] {
			names = append(names, name)
		}
	}
	return slices.Clip(names)
}
