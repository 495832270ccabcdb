package list

import (
	"net/netip"
	"regexp"
	"strings"
)

// What mail software logs of who comes to it. Much of a line may be a stranger's words, and he may make them look like another line. So a pattern
// holds from the line's beginning on, and passes over such words only where they cannot hold what it looks for.
var (
	// syslog, by RFC 3164 or with the time of RFC 3339: time, host, program[process]: what it says.
	syslogLine = regexp.MustCompile(`^(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)) [^ ]+ ([^ \[\]:]+)\[[0-9]+\]: (.*)$`)
	// Postfix: connect from mail.example.com[192.0.2.1], a name that leads back to the address, or "unknown".
	postfixConnect = regexp.MustCompile(`^connect from (?P<name>[^ \[]+)\[(?P<client>[0-9A-Fa-f.:]+)\]`)
	// postscreen, which stands before it: CONNECT from [192.0.2.1]:40000 to [198.51.100.1]:25
	postscreenConnect = regexp.MustCompile(`^CONNECT from \[(?P<client>[0-9A-Fa-f.:]+)\]:[0-9]+ to \[(?P<at>[0-9A-Fa-f.:]+)\]`)
	// Sendmail, of a message that it takes: the client stands last.
	sendmailMessage = regexp.MustCompile(`^[0-9A-Za-z]+: from=[^"]*, relay=[^ ,\[\]]* ?\[(?:IPv6:)?(?P<client>[0-9A-Fa-f.:]+)\](?: \(may be forged\))?$`)
	// Sendmail, where a ruleset refuses: what it refuses stands before the client, and the reply behind.
	sendmailRuleset = regexp.MustCompile(`^[0-9A-Za-z]+: ruleset=[a-z_]+, arg1=[^",\[\]]*, (?:arg2=[^",\[\]]*, )?relay=[^ ,\[\]]* ?\[(?:IPv6:)?(?P<client>[0-9A-Fa-f.:]+)\]`)
	// Sendmail, with a higher LogLevel.
	sendmailConnect = regexp.MustCompile(`^[0-9A-Za-z]+: connect from [^ \[]+ \[(?:IPv6:)?(?P<client>[0-9A-Fa-f.:]+)\]`)
	// OpenSMTPD: 1fc5bf4e98a3b2d1 smtp connected address=192.0.2.1 host=mail.example.com
	opensmtpdConnect = regexp.MustCompile(`^[0-9a-f]+ smtp (?:event=)?connected address=\[?(?:IPv6:)?(?P<client>[0-9A-Fa-f.:]+)\]? `)
	// Exim: a connection where log_selector has smtp_connection; or else a message that it takes, or a recipient that it refuses. A client is
	// told as "name (helo) [address]", and what it calls itself may be an address in brackets.
	eximArrival = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+ (?:[+-][0-9]{4} )?(?:\[[0-9]+\] )?(?:SMTP connection from |[0-9A-Za-z-]+ <= [^ "]+ H=|H=)` +
		`(?:[^ ()\[\]"]+ )?(?:\((?:[^ ()\[\]"]*|\[(?:IPv6:)?[0-9A-Fa-f.:]+\])\) )?\[(?P<client>[0-9A-Fa-f.:]+)\](.*)$`)
)

// eximUser is what Exim adds where the client is a user of the host's own: A=plain_login:user.
var eximUser = regexp.MustCompile(` P=[^ ]* (?:[^ ]+ )*A=[a-z0-9_]+(?::| |$)`)

// visitor is a client of which a mail log says that it came to the host.
type visitor struct {
	client netip.Addr // not valid: nobody came
	name   string     // that leads back to it; "" for none
	at     netip.Addr // the host's address; not valid where that is not told
}

// visitorOf is the client that a line tells of.
func visitorOf(line string) visitor {
	if m := syslogLine.FindStringSubmatch(line); m != nil {
		for _, p := range patternsOf(m[1]) {
			if v, ok := visitorIn(m[2], p); ok {
				return v
			}
		}
		return visitor{}
	}
	v, _ := visitorIn(line, eximArrival)
	return v
}

// patternsOf are the lines of a program that tell of a client.
func patternsOf(program string) []*regexp.Regexp {
	switch {
	case strings.HasPrefix(program, "postfix") && strings.HasSuffix(program, "/smtpd") && strings.Count(program, "/") == 1:
		return []*regexp.Regexp{postfixConnect}
	case strings.HasPrefix(program, "postfix") && strings.HasSuffix(program, "/postscreen"):
		return []*regexp.Regexp{postscreenConnect}
	case program == "sendmail" || program == "sm-mta":
		return []*regexp.Regexp{sendmailMessage, sendmailRuleset, sendmailConnect}
	case program == "smtpd":
		return []*regexp.Regexp{opensmtpdConnect}
	case program == "exim" || program == "exim4":
		return []*regexp.Regexp{eximArrival}
	}
	return nil
}

// visitorIn reads what a program says by a pattern.
func visitorIn(said string, p *regexp.Regexp) (v visitor, ok bool) {
	m := p.FindStringSubmatch(said)
	if m == nil || p == eximArrival && eximUser.MatchString(m[len(m)-1]) {
		return v, false
	}
	part := func(name string) string {
		if i := p.SubexpIndex(name); i > 0 {
			return m[i]
		}
		return ""
	}
	v.client, _ = netip.ParseAddr(part("client"))
	v.at, _ = netip.ParseAddr(part("at"))
	v.client, v.at = v.client.Unmap(), v.at.Unmap()
	if name := part("name"); name != "unknown" {
		v.name = name
	}
	return v, v.client.IsValid()
}
