package metrics

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func scrape(t *testing.T, m *Metrics, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(text)
}

func TestWorkersAreAddedUp(t *testing.T) {
	m := New(3, "1.2.3", "abc")
	zone := Zone{Name: "example.com", Serial: 7, Queries: m.Reserve("example.com", ZoneCounters), Decoys: []string{"mx2"}, Hosts: m.Reserve("example.com mx2", HostCounters)}
	m.Show(1, []Zone{zone}, true)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			w := m.Worker(i)
			for range 1000 {
				w.Query(UDP, IPv6, dns.TypeMX)
				w.Query(TCP, IPv4, 65280)
				w.Response(dns.RcodeNameError, true)
				w.Response(dns.RcodeBadVers, false)
				w.Dropped(Malformed)
				w.Took(30*time.Microsecond, 1)
				w.Add(zone.Queries, ZoneMX)
				w.Add(zone.Hosts, HostCounter(dns.TypeAAAA))
			}
		})
	}
	wg.Wait()
	_, text := scrape(t, m, "/metrics")
	for _, line := range []string{
		`mxtrap_queries_total{family="ipv6",transport="udp",type="MX"} 3000`,
		`mxtrap_queries_total{family="ipv4",transport="tcp",type="other"} 3000`,
		`mxtrap_responses_total{rcode="NXDOMAIN"} 3000`,
		`mxtrap_responses_total{rcode="BADVERS"} 3000`,
		`mxtrap_truncated_total 3000`,
		`mxtrap_dropped_total{reason="malformed"} 3000`,
		`mxtrap_query_duration_seconds_bucket{le="2e-05"} 0`,
		`mxtrap_query_duration_seconds_bucket{le="5e-05"} 3000`,
		`mxtrap_query_duration_seconds_sum 0.09`,
		`mxtrap_trap_mx_lookups_total{zone="example.com"} 3000`,
		`mxtrap_trap_decoy_lookups_total{decoy="mx2",type="AAAA",zone="example.com"} 3000`,
		`mxtrap_zone_serial{zone="example.com"} 7`,
		`mxtrap_build_info{commit="abc",goversion=`,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("no line %s", line)
		}
	}
}

func TestNamesFollowTheRulesOfPrometheus(t *testing.T) {
	m := New(1, "1.2.3", "abc")
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

func TestAKeyKeepsItsCounters(t *testing.T) {
	c := newCounters(1)
	first := c.Reserve("a", 2)
	c.Worker(0).Add(first, 1)
	var last Series
	for range 3 { // far into further chunks
		last = c.Reserve(strings.Repeat("x", int(last%7)+1)+string(rune('a'+last%26)), 3000)
	}
	c.Worker(0).Add(last, 2999)
	if again := c.Reserve("a", 2); again != first || c.sumOf(again, 1) != 1 || c.sumOf(again, 0) != 0 || c.sumOf(last, 2999) != 1 {
		t.Errorf("%v %v %d %d", first, again, c.sumOf(again, 1), c.sumOf(last, 2999))
	}
}

func TestReadyOnceServing(t *testing.T) {
	m := New(1, "", "")
	if status, _ := scrape(t, m, "/ready"); status != 503 {
		t.Errorf("before: %d", status)
	}
	m.SetReady(true)
	if status, _ := scrape(t, m, "/ready"); status != 503 {
		t.Errorf("without a zone that can be answered: %d", status)
	}
	m.SetAnswered(true)
	if status, _ := scrape(t, m, "/ready"); status != 200 {
		t.Errorf("after: %d", status)
	}
	if status, _ := scrape(t, m, "/live"); status != 200 {
		t.Errorf("live: %d", status)
	}
	if status, _ := scrape(t, m, "/nothing"); status != 404 {
		t.Errorf("nothing: %d", status)
	}
}

// TestCountersOfZonesThatAreGoneAreGivenBack, so that zones may come and go for ever.
func TestCountersOfZonesThatAreGoneAreGivenBack(t *testing.T) {
	c := newCounters(2)
	stays := c.Reserve("stays", 2)
	c.Worker(0).Add(stays, 1)
	for i := range 200 {
		c.Reserve("stays", 2)
		s := c.Reserve(fmt.Sprint("comes and goes ", i), 3000)
		if s == stays || c.sumOf(s, 2999) != 0 {
			t.Fatalf("zone %d has the counters of another", i)
		}
		c.Worker(i%2).Add(s, 2999)
		c.Release()
	}
	if again := c.Reserve("stays", 2); again != stays || c.sumOf(stays, 1) != 1 {
		t.Errorf("series %d, then %d; sum %d", stays, again, c.sumOf(stays, 1))
	}
	if c.next > 4*3000 || len(c.reserved) > 4 {
		t.Errorf("%d counters, %d keys", c.next, len(c.reserved))
	}
}

func TestFailuresOfZonesThatAreGoneAreForgotten(t *testing.T) {
	m := New(1, "v", "c")
	m.Show(1, []Zone{{Name: "a.test"}}, true)
	m.LoadFailed([]string{"a.test", "broken.toml"})
	m.LoadFailed([]string{"broken.toml"})
	if got := m.failures.counts; got["a.test"] != 1 || got["broken.toml"] != 2 {
		t.Error(got)
	}
	m.Show(0, nil, true)
	if m.LoadFailed(nil); len(m.failures.counts) != 0 {
		t.Error(m.failures.counts)
	}
}
