package list

import (
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// What mail software logs of who comes to it. A line of syslog has the program and its process before the first "]: ", so that nothing that a
// client says can stand in for it; Exim's own log has the date alone.
var (
	syslogProgram = regexp.MustCompile(`(?:^|[ \t])([^ \t\[]+)\[[0-9]*$`)
	// Postfix: connect from mail.example.com[192.0.2.1], a name that leads back to the address, or "unknown".
	postfixConnect = regexp.MustCompile(`^connect from ([^ \[]+)\[([0-9A-Fa-f.:]+)\]`)
	// postscreen, which stands before it: CONNECT from [192.0.2.1]:40000 to [198.51.100.1]:25
	postscreenConnect = regexp.MustCompile(`^CONNECT from \[([0-9A-Fa-f.:]+)\]`)
	// Sendmail: the sender of a message or a ruleset that refuses, and with a higher LogLevel each connection.
	sendmailRelay = regexp.MustCompile(`^[0-9A-Za-z]+: (?:(?:from|ruleset)=.*, relay=[^,]*|connect from [^ \[]+ )\[(?:IPv6:)?([0-9A-Fa-f.:]+)\]`)
	// OpenSMTPD: 1fc5bf4e smtp connected address=192.0.2.1 host=mail.example.com
	opensmtpdConnect = regexp.MustCompile(`^[0-9a-f]+ smtp (?:event=)?connected address=\[?(?:IPv6:)?([0-9A-Fa-f.:]+)\]? `)
	// Exim: a connection where log_selector has smtp_connection; or else a message that it takes, or a recipient that it refuses.
	eximArrival = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+ (?:[+-][0-9]{4} )?(?:\[[0-9]+\] )?(?:SMTP connection from |[0-9A-Za-z-]+ <= [^ ]* H=|H=)[^\[\]]*\[([0-9A-Fa-f.:]+)\]`)
	// an address of a line about whoever was refused: client [192.0.2.1] blocked using ..., addr 192.0.2.1 listed by domain ...
	anyAddress = regexp.MustCompile(`(?:\[|addr )(?:IPv6:)?([0-9A-Fa-f.:]+)(?:\]| )`)
)

// visitOf is the client that a line of a mail log says has come to the host, and its forward-confirmed name, where the line has that; not valid:
// it says that of nobody.
func visitOf(line string) (client netip.Addr, name string) {
	if head, said, ok := strings.Cut(line, "]: "); ok {
		if m := syslogProgram.FindStringSubmatch(head); m != nil {
			return visitIn(said, lineOf(m[1]))
		}
	}
	if strings.Contains(line, " A=") { // a user of the host's own
		return netip.Addr{}, ""
	}
	return visitIn(line, eximArrival)
}

// lineOf is the line of a program that tells of a client; nil: it has none.
func lineOf(program string) *regexp.Regexp {
	switch {
	case strings.HasPrefix(program, "postfix") && strings.HasSuffix(program, "/smtpd") && strings.Count(program, "/") == 1:
		return postfixConnect
	case strings.HasPrefix(program, "postfix") && strings.HasSuffix(program, "/postscreen"):
		return postscreenConnect
	case program == "sendmail" || program == "sm-mta":
		return sendmailRelay
	case program == "smtpd":
		return opensmtpdConnect
	case program == "exim" || program == "exim4":
		return eximArrival
	}
	return nil
}

// visitIn reads a line of a kind, which ends with the address, and may begin with the name.
func visitIn(text string, line *regexp.Regexp) (client netip.Addr, name string) {
	if line == nil {
		return client, ""
	}
	m := line.FindStringSubmatch(text)
	if m == nil {
		return client, ""
	}
	client, _ = netip.ParseAddr(m[len(m)-1])
	if len(m) > 2 && m[1] != "unknown" {
		name = m[1]
	}
	return client.Unmap(), name
}

const (
	// heldFor is how long it is waited for what becomes of a client that has come: one that is turned away because it is listed has not visited
	// a real host, or nobody would stay listed.
	heldFor = time.Minute
	// mostHeld is how many clients are waited for; more are not.
	mostHeld = 1 << 16
)

// visits are those that a mail log tells of.
type visits struct {
	zone string // the DNSBL; "": none
	held map[netip.Addr]visit
	seen func(client netip.Addr, name string)
}

// visit is one that is held.
type visit struct {
	at   time.Time
	name string
}

// take takes a line in.
func (v *visits) take(line string, now time.Time) {
	if a, name := visitOf(line); a.IsValid() && len(v.held) < mostHeld {
		if _, ok := v.held[a]; !ok {
			v.held[a] = visit{now, name}
		}
	}
	if v.zone == "" || !strings.Contains(line, v.zone) {
		return
	}
	for _, m := range anyAddress.FindAllStringSubmatch(line, -1) {
		if a, err := netip.ParseAddr(m[1]); err == nil {
			delete(v.held, a.Unmap())
		}
	}
}

// pass has those taken for visitors who have been held for long enough.
func (v *visits) pass(now time.Time) {
	for a, visit := range v.held {
		if passed := now.Sub(visit.at); passed >= heldFor || passed < 0 {
			delete(v.held, a)
			v.seen(a, visit.name)
		}
	}
}
