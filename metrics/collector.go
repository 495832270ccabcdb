package metrics

import (
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// collector adds the workers' counters up when Prometheus asks.
type collector Metrics

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	queriesDesc      = desc("mxtrap_queries_total", "Queries received.", "transport", "family", "type")
	responsesDesc    = desc("mxtrap_responses_total", "Responses sent, by RCODE.", "rcode")
	sizesDesc        = desc("mxtrap_response_size_bytes", "Size of responses, without what UDP and TCP put before them.", "transport")
	truncatedDesc    = desc("mxtrap_truncations_total", "Responses that did not fit and were cut, with TC set.")
	truncatedOldDesc = desc("mxtrap_truncated_total", "Old name of mxtrap_truncations_total, which takes its place. The next release shows it no more.")
	slippedDesc      = desc("mxtrap_rate_limit_slips_total", "Responses sent empty, with TC set, because of the rate limit.")
	slippedOldDesc   = desc("mxtrap_rate_limit_slipped_total", "Old name of mxtrap_rate_limit_slips_total, which takes its place. The next release shows it no more.")
	droppedDesc      = desc("mxtrap_drops_total", "Packets and connections that got no response, by reason.", "reason")
	droppedOldDesc   = desc("mxtrap_dropped_total", "Old name of mxtrap_drops_total, which takes its place. The next release shows it no more.", "reason")
	durationDesc     = desc("mxtrap_query_duration_seconds", "Time from a query's arrival in the process to its response.")
	signedDesc       = desc("mxtrap_dnssec_signatures_total", "Signatures made.")
	signingDesc      = desc("mxtrap_dnssec_signing_seconds", "Time that it took to make a signature.")
	exchangeDesc     = desc("mxtrap_real_exchange_up", "1 for a real exchange that answered the last visit as a sender needs it, else 0. The catch dials those whose decoys it stands for.", "zone", "exchange")
)

// shareDescs are what is shown of sharing.
var (
	shareUpDesc      = desc("mxtrap_share_up", "1 if the store through which servers share what they see answers, else 0.")
	shareWaitingDesc = desc("mxtrap_share_waiting_facts", "What was seen here and is to be handed in.")
	shareNodesDesc   = desc("mxtrap_share_nodes", "Servers that share, by whether they are heard. While one is silent that sees who comes to real hosts, nobody new is listed.", "state")
)

func (c *collector) collectShare(to chan<- prometheus.Metric) {
	s := c.Share()
	show := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	show(shareUpDesc, oneIf(s.Answers))
	show(shareWaitingDesc, float64(s.Waiting))
	show(shareNodesDesc, float64(s.Nodes-s.Silent), "heard")
	show(shareNodesDesc, float64(s.Silent), "silent")
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range append([]*prometheus.Desc{queriesDesc, responsesDesc, sizesDesc, truncatedDesc, truncatedOldDesc, slippedDesc, slippedOldDesc, droppedDesc, droppedOldDesc, durationDesc, signedDesc, signingDesc, exchangeDesc, shareUpDesc, shareWaitingDesc, shareNodesDesc}, zoneDescs...) {
		to <- d
	}
}

// count exports a counter.
func count(to chan<- prometheus.Metric, d *prometheus.Desc, v uint64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(to chan<- prometheus.Metric) {
	for t, transport := range transportNames {
		for f, family := range []string{"ipv4", "ipv6"} {
			for i := range len(queryTypes) + 1 {
				name := "other"
				if i < len(queryTypes) {
					name = dns.TypeToString[queryTypes[i]]
				}
				if v := c.sum(func(w *Worker) *atomic.Uint64 { return &w.queries[t][f][i] }); v > 0 || name == "MX" || name == "A" {
					count(to, queriesDesc, v, transport, family, name)
				}
			}
		}
		to <- c.sizes(t, transport)
	}
	for i := range maxRcode {
		v := c.sum(func(w *Worker) *atomic.Uint64 { return &w.responses[i] })
		if name, ok := dns.RcodeToString[i]; ok && (v > 0 || i <= dns.RcodeRefused) {
			if i == dns.RcodeBadVers {
				name = "BADVERS" // the library calls 16 BADSIG, as in TSIG
			}
			count(to, responsesDesc, v, name)
		}
	}
	for _, d := range []*prometheus.Desc{truncatedDesc, truncatedOldDesc} {
		count(to, d, c.sum(func(w *Worker) *atomic.Uint64 { return &w.truncated }))
	}
	for _, d := range []*prometheus.Desc{slippedDesc, slippedOldDesc} {
		count(to, d, c.sum(func(w *Worker) *atomic.Uint64 { return &w.slipped }))
	}
	for i, name := range dropNames {
		v := c.sum(func(w *Worker) *atomic.Uint64 { return &w.dropped[i] })
		count(to, droppedDesc, v, name)
		count(to, droppedOldDesc, v, name)
	}
	to <- c.duration()
	if c.Signing != nil {
		signatures, spent := c.Signing()
		count(to, signedDesc, signatures)
		to <- prometheus.MustNewConstSummary(signingDesc, signatures, spent.Seconds(), nil)
	}
	if c.Share != nil {
		c.collectShare(to)
	}
	if c.Exchanges != nil && !c.zoneless.Load() {
		for _, e := range c.Exchanges() {
			to <- prometheus.MustNewConstMetric(exchangeDesc, prometheus.GaugeValue, oneIf(e.Up), e.Zone, e.Host)
		}
	}
	c.collectZones(to)
}

func (c *collector) duration() prometheus.Metric {
	var total uint64
	cumulative := map[float64]uint64{}
	for i := range len(buckets) + 1 {
		total += c.sum(func(w *Worker) *atomic.Uint64 { return &w.durations[i] })
		if i < len(buckets) {
			cumulative[buckets[i].Seconds()] = total
		}
	}
	sum := time.Duration(c.sum(func(w *Worker) *atomic.Uint64 { return &w.nanos })).Seconds()
	return prometheus.MustNewConstHistogram(durationDesc, total, sum, cumulative)
}

// sizes is the histogram of a transport's responses.
func (c *collector) sizes(t int, transport string) prometheus.Metric {
	var total uint64
	cumulative := map[float64]uint64{}
	for i := range len(sizeBuckets) + 1 {
		total += c.sum(func(w *Worker) *atomic.Uint64 { return &w.sizes[t][i] })
		if i < len(sizeBuckets) {
			cumulative[float64(sizeBuckets[i])] = total
		}
	}
	sum := c.sum(func(w *Worker) *atomic.Uint64 { return &w.octets[t] })
	return prometheus.MustNewConstHistogram(sizesDesc, total, float64(sum), cumulative, transport)
}
