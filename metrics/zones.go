package metrics

import (
	"maps"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// Zone is what is shown of a zone.
type Zone struct {
	Name    string
	Serial  uint32
	Down    bool   // it cannot be answered, and has no serial number
	Expiry  int64  // when its signatures end, in seconds since 1970; 0: it is not signed
	Follows bool   // its content comes from a primary, or hangs on look-ups: its serial number is this server's own
	Queries Series // the counters of all queries and of those for trapped MX sets
	Covers  []string
	Decoys  []string
	Hosts   Series // the counters of host i's look-ups, covers first: A at 3i, AAAA, others
}

// The counters of Zone.Queries.
const (
	ZoneQueries = iota
	ZoneMX
	ZoneCounters
)

// HostCounters is how many counters of Zone.Hosts a host has.
const HostCounters = 3

// HostCounter is which of a host's counters a query type counts.
func HostCounter(qtype uint16) int {
	switch qtype {
	case dns.TypeA:
		return 0
	case dns.TypeAAAA:
		return 1
	}
	return 2
}

var hostTypes = [HostCounters]string{"A", "AAAA", "other"}

// shown is which zones there are.
type shown struct {
	count  int
	series []Zone
}

// Show sets how many zones are served, and those that have series of their own; perZone: zones are labels at all. What was counted of zones that
// are gone is dropped.
func (m *Metrics) Show(count int, series []Zone, perZone bool) {
	before := m.zones.Swap(&shown{count, series})
	m.zoneless.Store(!perZone)
	m.Release()
	if before == nil {
		return
	}
	for _, zone := range gone(before.series, series) {
		for _, o := range m.perZone() {
			o.forget(zone)
		}
	}
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
	if m.zoneless.Load() {
		m.failures.counts[""] = before[""] + uint64(len(zones))
		return
	}
	for _, zone := range zones {
		m.failures.counts[zone] = before[zone] + 1
	}
}

// ZoneFailed counts one zone that could not be loaded by itself.
func (m *Metrics) ZoneFailed(zone string) {
	m.failures.mu.Lock()
	defer m.failures.mu.Unlock()
	if m.zoneless.Load() {
		zone = ""
	}
	if m.failures.counts == nil {
		m.failures.counts = map[string]uint64{}
	}
	m.failures.counts[zone]++
}

var (
	zonesDesc    = desc("mxtrap_zones", "Zones served.")
	zoneDesc     = desc("mxtrap_zone_queries_total", "Queries for names of a zone.", "zone")
	mxDesc       = desc("mxtrap_trap_mx_lookups_total", "Queries for MX records with decoys.", "zone")
	decoyDesc    = desc("mxtrap_trap_decoy_lookups_total", "Queries for a decoy's name.", "zone", "decoy", "type")
	coverDesc    = desc("mxtrap_trap_cover_lookups_total", "Queries for a cover's name.", "zone", "cover", "type")
	failuresDesc = desc("mxtrap_zone_load_failures_total", "Times a zone could not be loaded.", "zone")
	downDesc     = desc("mxtrap_zone_down", "1 for a zone that is answered with SERVFAIL, else 0.", "zone")
	followsDesc  = desc("mxtrap_zone_follower", "1 for a zone whose content comes from a primary or hangs on look-ups: equal files need not give equal serial numbers.", "zone")
	followedDesc = desc("mxtrap_zone_follows", "Old name of mxtrap_zone_follower, which takes its place. The next release shows it no more.", "zone")
	serialDesc   = desc("mxtrap_zone_serial", "Serial number of a zone. A zone that cannot be answered has none.", "zone")
	expiryDesc   = desc("mxtrap_dnssec_signature_expiry_timestamp_seconds", "Time at which the signatures of a zone end. They are renewed two weeks before.", "zone")
	heardDesc    = desc("mxtrap_zone_refresh_timestamp_seconds", "Time at which the primary of a zone was heard last.", "zone")
	expiresDesc  = desc("mxtrap_zone_expiry_timestamp_seconds", "Time at which the copy of a zone expires, unless its primary is heard.", "zone")
)

// zoneDescs are what is shown of zones.
var zoneDescs = []*prometheus.Desc{zonesDesc, zoneDesc, mxDesc, decoyDesc, coverDesc, failuresDesc, downDesc, followsDesc, followedDesc, serialDesc, expiryDesc, heardDesc, expiresDesc}

// collectZones exports the zones that are shown, and others that failed.
func (c *collector) collectZones(to chan<- prometheus.Metric) {
	zones := *c.zones.Load()
	show := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	show(zonesDesc, float64(zones.count))
	c.failures.mu.Lock()
	failed := maps.Clone(c.failures.counts)
	c.failures.mu.Unlock()
	for i := range zones.series {
		z := &zones.series[i]
		count(to, failuresDesc, failed[z.Name], z.Name)
		delete(failed, z.Name)
		if z.Follows {
			show(followsDesc, 1, z.Name)
			show(followedDesc, 1, z.Name)
		}
		if show(downDesc, oneIf(z.Down), z.Name); !z.Down {
			show(serialDesc, float64(z.Serial), z.Name)
		}
		if z.Expiry != 0 {
			show(expiryDesc, float64(z.Expiry), z.Name)
		}
		count(to, zoneDesc, c.sumOf(z.Queries, ZoneQueries), z.Name)
		if len(z.Decoys) > 0 {
			count(to, mxDesc, c.sumOf(z.Queries, ZoneMX), z.Name)
		}
		c.collectHosts(to, coverDesc, z, z.Covers, 0)
		c.collectHosts(to, decoyDesc, z, z.Decoys, len(z.Covers))
	}
	for name, n := range failed {
		count(to, failuresDesc, n, name)
	}
	if c.Copies == nil || c.zoneless.Load() {
		return
	}
	for _, copied := range c.Copies() {
		for d, at := range map[*prometheus.Desc]time.Time{heardDesc: copied.Confirmed, expiresDesc: copied.Expires} {
			if !at.IsZero() {
				show(d, float64(at.Unix()), copied.Zone)
			}
		}
	}
}

// TrapLookups are how many look-ups of trapped MX sets, and of decoys, there were, of zones that are shown.
func (m *Metrics) TrapLookups() (mx, decoys uint64) {
	series := m.zones.Load().series
	for i := range series {
		z := &series[i]
		mx += m.sumOf(z.Queries, ZoneMX)
		for host := range z.Decoys {
			for t := range HostCounters {
				decoys += m.sumOf(z.Hosts, (len(z.Covers)+host)*HostCounters+t)
			}
		}
	}
	return mx, decoys
}

// collectHosts exports the look-ups of hosts of a zone's trap, of which the first is that of a number.
func (c *collector) collectHosts(to chan<- prometheus.Metric, d *prometheus.Desc, z *Zone, hosts []string, first int) {
	for i, host := range hosts {
		for t, name := range hostTypes {
			count(to, d, c.sumOf(z.Hosts, (first+i)*HostCounters+t), z.Name, host, name)
		}
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
