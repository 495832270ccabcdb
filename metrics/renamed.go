package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// renamed shows the series of a collector under the name that they had before, for dashboards and rules that have it still.
type renamed struct {
	prometheus.Collector
	kind   prometheus.ValueType
	desc   *prometheus.Desc
	labels []string
}

// oldName is the collector's series under an old name.
func oldName(of prometheus.Collector, kind prometheus.ValueType, old, name string, labels ...string) prometheus.Collector {
	return &renamed{of, kind, desc(old, "Old name of "+name+", which takes its place. The next release shows it no more.", labels...), labels}
}

// Describe implements [prometheus.Collector].
func (r *renamed) Describe(to chan<- *prometheus.Desc) { to <- r.desc }

// Collect implements [prometheus.Collector].
func (r *renamed) Collect(to chan<- prometheus.Metric) {
	eachMetric(r.Collector, func(m *dto.Metric) {
		values := make([]string, len(r.labels))
		for i, label := range r.labels {
			for _, pair := range m.GetLabel() {
				if pair.GetName() == label {
					values[i] = pair.GetValue()
				}
			}
		}
		to <- prometheus.MustNewConstMetric(r.desc, r.kind, m.GetCounter().GetValue()+m.GetGauge().GetValue(), values...)
	})
}

// eachMetric calls do for what a collector has now.
func eachMetric(c prometheus.Collector, do func(*dto.Metric)) {
	all := make(chan prometheus.Metric)
	go func() {
		defer close(all)
		c.Collect(all)
	}()
	for m := range all {
		var now dto.Metric
		if m.Write(&now) == nil {
			do(&now)
		}
	}
}
