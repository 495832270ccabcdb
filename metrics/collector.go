package metrics

import (
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Zone is what is shown of a zone.
type Zone struct {
	Name    string
	Serial  uint32
	Down    bool   // it cannot be answered, and has no serial number
	Expiry  int64  // when its signatures end, in seconds since 1970; 0: it is not signed
	Follows bool   // its content comes from a primary, or hangs on look-ups: its serial number is this server's own
	Queries Series // the counters of all queries and of those for trapped MX sets
	Decoys  []string
	Hosts   Series // the counters of decoy i's look-ups: A at 3i, AAAA, others
}

// The counters of Zone.Queries.
const (
	ZoneQueries = iota
	ZoneMX
	ZoneCounters
)

// DecoyCounters is how many counters of Zone.Hosts a decoy has.
const DecoyCounters = 3

// DecoyCounter is which of a decoy's counters a query type counts.
func DecoyCounter(qtype uint16) int {
	switch qtype {
	case dns.TypeA:
		return 0
	case dns.TypeAAAA:
		return 1
	}
	return 2
}

var decoyTypes = [DecoyCounters]string{"A", "AAAA", "other"}

// Metrics is all that is shown.
type Metrics struct {
	*Counters
	registry *prometheus.Registry
	zones    atomic.Pointer[shown]
	failures failures
	ready    atomic.Bool
	answered atomic.Bool

	// reloadOK is 1 when the last load took everything in, and reloadTime when that last was so.
	reloadOK, reloadTime prometheus.Gauge
	// CoversWaiting is how many hosts outside the zones have not been looked up yet; LookupFailures counts failed look-ups.
	CoversWaiting  prometheus.Gauge
	LookupFailures prometheus.Counter
	// Transfers counts requests for zones, by what came of them; NotifyFailures how often a server could not be told of a change.
	Transfers      *prometheus.CounterVec
	NotifyFailures prometheus.Counter
	// TapLost counts queries that were not copied because their reader is too slow.
	TapLost prometheus.Counter
	// ZonesDown is how many zones cannot be answered now.
	ZonesDown prometheus.Gauge
	// Refreshes counts looks at primaries, by what came of them.
	Refreshes *prometheus.CounterVec
	// KeysLost is how many zones have lost their keys, so that their signatures are renewed no more.
	KeysLost prometheus.Gauge
	// LateWindows counts zones whose signatures were not all made when their time came.
	LateWindows prometheus.Counter
	// Signing tells how many signatures were made, and in what time; nil: none.
	Signing func() (signatures uint64, spent time.Duration)
	// CatchSessions counts sessions of the catch, by zone and rung; CatchRefused those that it did not have, by reason.
	CatchSessions, CatchRefused *prometheus.CounterVec
	// List is what HTTP gives as the list; nil: nothing.
	List atomic.Pointer[List]

	// Exchanges tells how the real exchanges are that are watched; nil: none is.
	Exchanges func() []Exchange
	// Notifies counts NOTIFYs of primaries, and Updates dynamic updates, by what came of them.
	Notifies, Updates *prometheus.CounterVec
}

// Exchange is a real exchange of a zone.
type Exchange struct {
	Zone, Host string
	Up         bool
}

// New makes the metrics of a server with so many workers.
func New(workers int, version, commit string) *Metrics {
	m := &Metrics{
		Counters:      newCounters(workers),
		registry:      prometheus.NewRegistry(),
		reloadOK:      gauge("mxtrap_config_last_reload_successful", "1 if the last load or reload took in every file, else 0."),
		reloadTime:    gauge("mxtrap_config_last_reload_success_timestamp_seconds", "Time of the last load or reload that took in every file."),
		CoversWaiting: gauge("mxtrap_covers_unresolved", "Hosts outside the zones that have no address yet. Their exchanges are served as written."),
		LookupFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mxtrap_cover_lookup_failures_total", Help: "Failed look-ups of hosts outside the zones. The last good answer stays.",
		}),
		ZonesDown: gauge("mxtrap_zones_down", "Zones answered with SERVFAIL: their file cannot be loaded, or their copy is missing or has expired."),
		KeysLost:  gauge("mxtrap_dnssec_keys_lost", "Signed zones whose keys cannot be read any more. Their signatures are served until they end."),
		LateWindows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mxtrap_dnssec_late_windows_total", Help: "Windows of zones that began before all of their signatures were made. The rest is made as clients ask for it.",
		}),
		Transfers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxtrap_transfers_total", Help: "Requests for zone transfers, by outcome: axfr and ixfr were sent, current had nothing new, refused, failed.",
		}, []string{"outcome"}),
		NotifyFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mxtrap_notify_failures_total", Help: "Changes that a server could not be notified of.",
		}),
		TapLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mxtrap_dnstap_lost_total", Help: "Queries that were not copied, because the reader of dnstap was too slow or not there.",
		}),
		Notifies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxtrap_notifies_total", Help: "NOTIFYs received, by outcome: taken, refused.",
		}, []string{"outcome"}),
		Updates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxtrap_updates_total", Help: "Dynamic updates, by outcome: taken, refused, failed.",
		}, []string{"outcome"}),
		CatchSessions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxtrap_catch_sessions_total", Help: "Sessions of the catch, by the zone of the decoy and how far the client went: E0 connected, E1 spoke SMTP, E2 spoke too early or not SMTP, E3 named a recipient of the decoy's domain, E4 went on to DATA.",
		}, []string{"zone", "rung"}),
		CatchRefused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxtrap_catch_refused_total", Help: "Connections to the catch that are no evidence, by reason.",
		}, []string{"reason"}),
		Refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mxtrap_refreshes_total", Help: "Requests to primaries, by outcome: taken, current (nothing new), failed; and zones that expired.",
		}, []string{"outcome"}),
	}
	for _, outcome := range []string{"taken", "refused"} {
		m.Notifies.WithLabelValues(outcome)
	}
	for _, outcome := range []string{"taken", "refused", "failed"} {
		m.Updates.WithLabelValues(outcome)
	}
	for _, outcome := range []string{"axfr", "ixfr", "current", "refused", "failed"} {
		m.Transfers.WithLabelValues(outcome)
	}
	for _, outcome := range []string{"taken", "current", "failed", "expired"} {
		m.Refreshes.WithLabelValues(outcome)
	}
	m.Show(0, nil)
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mxtrap_build_info", Help: "Always 1. The labels name the build.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build, m.reloadOK, m.reloadTime, m.CoversWaiting, m.LookupFailures, m.Transfers, m.NotifyFailures, m.Refreshes, m.Notifies, m.Updates, m.ZonesDown, m.TapLost, m.KeysLost, m.LateWindows, m.CatchSessions, m.CatchRefused, (*collector)(m),
	)
	return m
}

// shown is which zones there are.
type shown struct {
	count  int
	series []Zone
}

// Show sets how many zones are served, and those that have series of their own. What was counted of zones that are gone is dropped.
func (m *Metrics) Show(count int, series []Zone) {
	m.zones.Store(&shown{count, series})
	m.Release()
}

// failures count, by zone, how often one could not be loaded.
type failures struct {
	mu     sync.Mutex
	counts map[string]uint64
}

// LoadFailed counts zones that could not be loaded, and forgets those that are neither shown nor among them.
func (m *Metrics) LoadFailed(zones []string) {
	m.failures.mu.Lock()
	defer m.failures.mu.Unlock()
	before := m.failures.counts
	m.failures.counts = map[string]uint64{}
	for _, z := range m.zones.Load().series {
		if n := before[z.Name]; n > 0 {
			m.failures.counts[z.Name] = n
		}
	}
	for _, zone := range zones {
		m.failures.counts[zone] = before[zone] + 1
	}
}

// SetReady says whether the server answers queries.
func (m *Metrics) SetReady(ready bool) { m.ready.Store(ready) }

// SetAnswered says whether some zone can be answered: where none can, /ready says so.
func (m *Metrics) SetAnswered(answered bool) { m.answered.Store(answered) }

// Reloaded notes the end of a load.
func (m *Metrics) Reloaded(ok bool, at time.Time) {
	if !ok {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadTime.Set(float64(at.UnixNano()) / 1e9)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

// collector adds the workers' counters up when Prometheus asks.
type collector Metrics

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	queriesDesc   = desc("mxtrap_queries_total", "Queries received.", "transport", "family", "type")
	responsesDesc = desc("mxtrap_responses_total", "Responses sent, by RCODE.", "rcode")
	truncatedDesc = desc("mxtrap_truncated_total", "Responses that did not fit and were cut, with TC set.")
	slippedDesc   = desc("mxtrap_rate_limit_slipped_total", "Responses sent empty, with TC set, because of the rate limit.")
	droppedDesc   = desc("mxtrap_dropped_total", "Packets and connections that got no response, by reason.", "reason")
	durationDesc  = desc("mxtrap_query_duration_seconds", "Time from a query's arrival in the process to its response.")
	zoneDesc      = desc("mxtrap_zone_queries_total", "Queries for names of a zone.", "zone")
	mxDesc        = desc("mxtrap_trap_mx_lookups_total", "Queries for MX records with decoys.", "zone")
	decoyDesc     = desc("mxtrap_trap_decoy_lookups_total", "Queries for a decoy's name.", "zone", "decoy", "type")
	failuresDesc  = desc("mxtrap_zone_load_failures_total", "Times a zone could not be loaded.", "zone")
	zonesDesc     = desc("mxtrap_zones", "Zones served.")
	followsDesc   = desc("mxtrap_zone_follows", "1 for a zone whose content comes from a primary or hangs on look-ups: equal files need not give equal serial numbers.", "zone")
	expiryDesc    = desc("mxtrap_dnssec_signature_expiry_timestamp_seconds", "Time at which the signatures of a zone end. They are renewed two weeks before.", "zone")
	signedDesc    = desc("mxtrap_dnssec_signatures_total", "Signatures made.")
	signingDesc   = desc("mxtrap_dnssec_signing_seconds", "Time that it took to make a signature.")
	exchangeDesc  = desc("mxtrap_real_exchange_up", "1 for a real exchange that answered the last visit as a sender needs it, else 0. The catch dials those whose decoys it stands for.", "zone", "exchange")
	serialDesc    = desc("mxtrap_zone_serial", "Serial number of a zone. A zone that cannot be answered has none.", "zone")
)

// Describe implements [prometheus.Collector].
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queriesDesc, responsesDesc, truncatedDesc, slippedDesc, droppedDesc, durationDesc, zoneDesc, mxDesc, decoyDesc, zonesDesc, failuresDesc, serialDesc, followsDesc, expiryDesc, signedDesc, signingDesc, exchangeDesc} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(to chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for t, transport := range []string{"udp", "tcp"} {
		for f, family := range []string{"ipv4", "ipv6"} {
			for i := range len(queryTypes) + 1 {
				name := "other"
				if i < len(queryTypes) {
					name = dns.TypeToString[queryTypes[i]]
				}
				if v := c.sum(func(w *Worker) *atomic.Uint64 { return &w.queries[t][f][i] }); v > 0 || name == "MX" || name == "A" {
					count(queriesDesc, v, transport, family, name)
				}
			}
		}
	}
	for i := range maxRcode {
		v := c.sum(func(w *Worker) *atomic.Uint64 { return &w.responses[i] })
		if name, ok := dns.RcodeToString[i]; ok && (v > 0 || i <= dns.RcodeRefused) {
			if i == dns.RcodeBadVers {
				name = "BADVERS" // the library calls 16 BADSIG, as in TSIG
			}
			count(responsesDesc, v, name)
		}
	}
	count(truncatedDesc, c.sum(func(w *Worker) *atomic.Uint64 { return &w.truncated }))
	count(slippedDesc, c.sum(func(w *Worker) *atomic.Uint64 { return &w.slipped }))
	for i, name := range dropNames {
		count(droppedDesc, c.sum(func(w *Worker) *atomic.Uint64 { return &w.dropped[i] }), name)
	}
	to <- c.duration()
	if c.Signing != nil {
		signatures, spent := c.Signing()
		count(signedDesc, signatures)
		to <- prometheus.MustNewConstSummary(signingDesc, signatures, spent.Seconds(), nil)
	}
	if c.Exchanges != nil {
		for _, e := range c.Exchanges() {
			up := 0.0
			if e.Up {
				up = 1
			}
			to <- prometheus.MustNewConstMetric(exchangeDesc, prometheus.GaugeValue, up, e.Zone, e.Host)
		}
	}
	c.collectZones(to, count)
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

// collectZones exports the zones that are shown, and others that failed.
func (c *collector) collectZones(to chan<- prometheus.Metric, count func(*prometheus.Desc, uint64, ...string)) {
	zones := *c.zones.Load()
	to <- prometheus.MustNewConstMetric(zonesDesc, prometheus.GaugeValue, float64(zones.count))
	c.failures.mu.Lock()
	failed := maps.Clone(c.failures.counts)
	c.failures.mu.Unlock()
	for _, z := range zones.series {
		count(failuresDesc, failed[z.Name], z.Name)
		delete(failed, z.Name)
		if z.Follows {
			to <- prometheus.MustNewConstMetric(followsDesc, prometheus.GaugeValue, 1, z.Name)
		}
		if !z.Down {
			to <- prometheus.MustNewConstMetric(serialDesc, prometheus.GaugeValue, float64(z.Serial), z.Name)
		}
		if z.Expiry != 0 {
			to <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(z.Expiry), z.Name)
		}
		count(zoneDesc, c.sumOf(z.Queries, ZoneQueries), z.Name)
		if len(z.Decoys) > 0 {
			count(mxDesc, c.sumOf(z.Queries, ZoneMX), z.Name)
		}
		for i, decoy := range z.Decoys {
			for t, name := range decoyTypes {
				count(decoyDesc, c.sumOf(z.Hosts, i*DecoyCounters+t), z.Name, decoy, name)
			}
		}
	}
	for name, n := range failed {
		count(failuresDesc, n, name)
	}
}
