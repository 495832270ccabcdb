package catch

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"mxtrap/zone/conf"
)

// Config is the table [catch].
type Config struct {
	Listen     []netip.AddrPort // addresses of this host
	Decoys     uint16           // the port at which every decoy's own address is listened on that this host has; 0: not
	Hostname   string           // in greetings; "": the decoy's own name
	Pause      time.Duration    // before the greeting
	Recipients Detail           // what is told of recipients
	Keep       time.Duration    // how long sightings are kept; 0: not at all
}

// Detail is how much is told of recipients.
type Detail string

// The details.
const (
	Hashed  Detail = "hash"   // a keyed hash in the place of the local part
	Domains Detail = "domain" // the domain alone
	Full    Detail = "full"   // the address
)

// On says whether there is a catch.
func (c *Config) On() bool { return len(c.Listen) > 0 || c.Decoys != 0 }

// longestPause leaves a client most of the session (RFC 5321 4.5.3.2.1 has clients wait five minutes for a greeting).
const longestPause = 20 * time.Second

// longestKeep is how long the addresses of strangers may be kept: longer than any listing needs them.
const longestKeep = 366 * day

const day = 24 * time.Hour

// ParseTime reads a time such as "4s", "90m" or "30d".
func ParseTime(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * day, err
	}
	return time.ParseDuration(text)
}

// readTime reads a time of the table.
func readTime(t *conf.Table, key string, longest time.Duration, to *time.Duration) {
	text := ""
	if t.String(key, &text); text == "" {
		return
	}
	d, err := ParseTime(text)
	if err != nil || d < 0 || d > longest {
		most := longest.String()
		if longest >= day {
			most = fmt.Sprintf("%dd", longest/day)
		}
		t.Fault(key, text, fmt.Sprintf(`must be a time from "0s" to "%s"`, most))
		return
	}
	*to = d
}

// smtp is the port of mail hosts.
const smtp = 25

// ConfigOf reads the table.
func ConfigOf(t *conf.Table) Config {
	c := Config{Pause: 4 * time.Second, Recipients: Hashed, Keep: 30 * day}
	for _, item := range t.Strings("listen") {
		port, decoys := strings.CutPrefix(item.Text, "decoys")
		switch {
		case decoys && c.Decoys != 0:
			item.Fault("decoys are listed twice")
		case item.Text == "decoys":
			c.Decoys = smtp
		case decoys && strings.HasPrefix(port, ":"):
			n, err := strconv.ParseUint(port[1:], 10, 16)
			if err != nil || n == 0 {
				item.Fault("has no port behind the colon")
			}
			c.Decoys = uint16(n)
		default:
			addr, err := netip.ParseAddrPort(item.Text)
			switch {
			case err != nil:
				item.Fault(`is no address with a port: write "192.0.2.26:25" or "[2001:db8::26]:25", or "decoys" for all addresses of decoys that this host has`)
			case addr.Port() == 0:
				item.Fault("has no port behind the colon")
			case slices.Contains(c.Listen, addr):
				item.Fault("is listed twice")
			default:
				c.Listen = append(c.Listen, addr)
			}
		}
	}
	if t.String("hostname", &c.Hostname); strings.ContainsFunc(c.Hostname, func(r rune) bool { return r <= ' ' || r > '~' }) || len(c.Hostname) > maxHostname {
		t.Fault("hostname", c.Hostname, "is no host name")
	}
	readTime(t, "pause", longestPause, &c.Pause)
	readTime(t, "keep", longestKeep, &c.Keep)
	detail := string(c.Recipients)
	if t.String("recipients", &detail); !slices.Contains([]Detail{Hashed, Domains, Full}, Detail(detail)) {
		t.Fault("recipients", detail, "must be hash, domain or full")
	}
	c.Recipients = Detail(detail)
	t.Close()
	return c
}
