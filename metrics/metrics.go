package metrics

import (
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics is all that is shown.
type Metrics struct {
	*Counters
	registry *prometheus.Registry
	zones    atomic.Pointer[shown]
	zoneless atomic.Bool // zones have no series of their own
	failures failures
	ready    atomic.Bool
	answered atomic.Bool

	// reloadOK is 1 when the last load took everything in, and reloadTime when that last was so.
	reloadOK, reloadTime prometheus.Gauge
	// CoversWaiting is how many hosts outside the zones have not been looked up yet; LookupFailures counts failed look-ups.
	CoversWaiting  prometheus.Gauge
	LookupFailures prometheus.Counter
	// Transfers counts requests for zones, Refreshes looks at primaries, and Notifies NOTIFYs that came in, by what came of them;
	// NotifyFailures how often a server could not be told of a change.
	Transfers, Refreshes, NotifyFailures *Outcomes
	Notifies, Updates                    *prometheus.CounterVec
	// TapLost counts queries that were not copied because their reader is too slow.
	TapLost prometheus.Counter
	// ZonesDown is how many zones cannot be answered now.
	ZonesDown prometheus.Gauge
	// KeysLost is how many zones have lost their keys, so that their signatures are renewed no more.
	KeysLost prometheus.Gauge
	// LateWindows counts zones whose signatures were not all made when their time came.
	LateWindows prometheus.Counter
	// TCPConnections is how many connections of clients are open.
	TCPConnections prometheus.Gauge
	// CatchSessions counts sessions of the catch, by zone and rung; CatchRefused those that it did not have, by reason.
	CatchSessions *Outcomes
	CatchRefused  *prometheus.CounterVec
	// ListAge is how old the MX lists of clients are, where decoys change, in seconds.
	ListAge prometheus.Histogram
	// Listed is how many clients the list has, by the return code of the DNSBL that says why.
	Listed *prometheus.GaugeVec

	// What follows is asked with each scrape; nil: nothing is shown.
	Signing   func() (signatures uint64, spent time.Duration)
	Exchanges func() []Exchange
	Copies    func() []Copy
	Share     func() Share // nil: nothing is shared

	// List is what HTTP gives as the list; nil: nothing.
	List atomic.Pointer[List]
	// Page answers at every other path; nil: nothing does.
	Page atomic.Pointer[http.Handler]
}

// Exchange is a real exchange of a zone.
type Exchange struct {
	Zone, Host string
	Up         bool
}

// Share is what is shared with other servers.
type Share struct {
	Answers bool // the store does
	Waiting int  // facts that are to be handed in
	Nodes   int  // servers that take part
	Silent  int  // of them, those that see who comes to real hosts, and are not heard
}

// Copy is a zone that comes from a primary.
type Copy struct {
	Zone      string
	Confirmed time.Time // when the primary was heard last
	Expires   time.Time // zero: there is nothing to expire
}

// New makes the metrics of a server with so many workers.
func New(workers int, version, commit string) *Metrics {
	m := &Metrics{
		Counters:       newCounters(workers),
		registry:       prometheus.NewRegistry(),
		reloadOK:       gauge("mxtrap_config_last_reload_successful", "1 if the last load or reload took in every file, else 0."),
		reloadTime:     gauge("mxtrap_config_last_reload_success_timestamp_seconds", "Time of the last load or reload that took in every file."),
		CoversWaiting:  gauge("mxtrap_unresolved_covers", "Hosts outside the zones that have no address yet. Their exchanges are served as written."),
		LookupFailures: counter("mxtrap_cover_lookup_failures_total", "Failed look-ups of hosts outside the zones. The last good answer stays."),
		ZonesDown:      gauge("mxtrap_zones_down", "Zones answered with SERVFAIL: their file cannot be loaded, or their copy is missing or has expired."),
		KeysLost:       gauge("mxtrap_dnssec_keys_lost", "Signed zones whose keys cannot be read any more. Their signatures are served until they end."),
		LateWindows:    counter("mxtrap_dnssec_late_windows_total", "Windows of zones that began before all of their signatures were made. The rest is made as clients ask for it."),
		TapLost:        counter("mxtrap_dnstap_losses_total", "Queries that were not copied, because the reader of dnstap was too slow or not there."),
		TCPConnections: gauge("mxtrap_tcp_connections", "TCP connections of DNS clients that are open."),
		Notifies:       counters("mxtrap_notifies_total", "NOTIFYs received, by outcome: taken, refused.", "outcome", "taken", "refused"),
		Updates:        counters("mxtrap_updates_total", "Dynamic updates, by outcome: taken, refused, failed.", "outcome", "taken", "refused", "failed"),
		CatchRefused:   counters("mxtrap_catch_refusals_total", "Connections to the catch that are no evidence, by reason.", "reason"),
		ListAge: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mxtrap_catch_list_age_seconds", Help: "Age of the MX lists of clients that named a recipient at a decoy: how long ago the decoy left the MX set; 0 for one that is in it. Decoys that never change tell no age.",
			Buckets: []float64{0, 3600, 86400, 7 * 86400, 14 * 86400, 30 * 86400, 60 * 86400, 90 * 86400, 180 * 86400},
		}),
		Listed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mxtrap_list_clients", Help: "Clients in the list, by the return code of the DNSBL that says why. There are none while list.mode is observe.",
		}, []string{"code"}),
	}
	m.Transfers = newOutcomes(&m.zoneless, "mxtrap_transfers_total", "Requests for zone transfers, by outcome: axfr and ixfr were sent, current had nothing new, refused, failed.",
		"outcome", "axfr", "ixfr", "current", "refused", "failed")
	m.Refreshes = newOutcomes(&m.zoneless, "mxtrap_refreshes_total", "Requests to primaries, by outcome: taken, current (nothing new), failed; and zones that expired.",
		"outcome", "taken", "current", "failed", "expired")
	m.NotifyFailures = newOutcomes(&m.zoneless, "mxtrap_notify_failures_total", "Changes that a server could not be notified of, by reason: refused, unanswered.", "reason", "refused", "unanswered")
	m.CatchSessions = newOutcomes(&m.zoneless, "mxtrap_catch_sessions_total",
		"Sessions of the catch, by the zone of the decoy and how far the client went: E0 connected, E1 spoke SMTP, E2 spoke too early or not SMTP, E3 named a recipient of the decoy's domain, E4 went on to DATA.",
		"rung", "E0", "E1", "E2", "E3", "E4")
	m.Show(0, nil, true)
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mxtrap_build_info", Help: "Always 1. The labels name the build.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build, m.reloadOK, m.reloadTime, m.CoversWaiting, m.LookupFailures, m.Notifies, m.Updates, m.ZonesDown, m.TapLost, m.KeysLost, m.LateWindows, m.TCPConnections, m.CatchRefused, m.ListAge, m.Listed,
		oldName(m.CoversWaiting, prometheus.GaugeValue, "mxtrap_covers_unresolved", "mxtrap_unresolved_covers"),
		oldName(m.TapLost, prometheus.CounterValue, "mxtrap_dnstap_lost_total", "mxtrap_dnstap_losses_total"),
		oldName(m.CatchRefused, prometheus.CounterValue, "mxtrap_catch_refused_total", "mxtrap_catch_refusals_total", "reason"),
		(*collector)(m),
	)
	for _, o := range m.perZone() {
		m.registry.MustRegister(o.vec)
	}
	return m
}

// perZone are the counters that have zones as labels.
func (m *Metrics) perZone() []*Outcomes {
	return []*Outcomes{m.Transfers, m.Refreshes, m.NotifyFailures, m.CatchSessions}
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

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// counters are those of a label, of which some values begin at zero.
func counters(name, help, label string, values ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	for _, v := range values {
		c.WithLabelValues(v)
	}
	return c
}
