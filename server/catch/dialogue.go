package catch

import (
	"bytes"
	"strings"
)

// Limits of a session (RFC 5321 4.5.3.1 asks for 512 octets of a command, extensions for some more).
const (
	maxCommands = 20
	maxLine     = 2048 // octets, with the end of the line
	maxHostname = 253  // of a name in a greeting
	maxNoted    = 254  // octets of what a client says that are kept
)

// Replies. Each is 2xx, which asks nothing of the client and promises nothing, or 4xx, after which mail waits at its sender. There is no
// 354, so that no message text comes (RFC 5321 4.2).
const (
	replyOK      = "250 OK\r\n"
	replyReset   = "250 OK, nothing is kept\r\n"
	replyVerify  = "252 Send the mail, and see\r\n"
	replyHelp    = "214 See RFC 5321\r\n"
	replyBye     = "221 Bye\r\n"
	replyMail    = "451 This host takes no mail now; try the other hosts of the domain, or later\r\n"
	replyOrder   = "451 Not at this point\r\n"
	replyTLS     = "454 TLS is not available now\r\n"
	replyUnknown = "450 This command is not available\r\n"
	replyEnough  = "421 Too many commands; come again later\r\n"
	replyLong    = "421 The line is too long; come again later\r\n"
	replyTime    = "421 The time is over; come again later\r\n"
	replyLater   = "421 No service now; try the other hosts of the domain, or later\r\n"
	replyFull    = "421 Too many connections; come again later\r\n"
)

// dialogue is the SMTP of one session. It takes the client's lines and gives a reply to each, and notes what the client did.
type dialogue struct {
	hostname string
	seen     Sighting
	detail   func(localPart, domain string) string

	commands int
	from     bool // MAIL was taken
	null     bool // with the null sender (RFC 5321 4.5.5)
	tried    bool // RCPT was refused in this transaction
}

// greeting is the first line.
func (d *dialogue) greeting() string { return "220 " + d.hostname + " ESMTP\r\n" }

// reply takes a line without its end. The session ends after a reply of 221 or 421.
func (d *dialogue) reply(line []byte) (reply string, end bool) {
	if d.commands++; d.commands > maxCommands {
		return replyEnough, true
	}
	line = bytes.TrimRight(line, " \t\r")
	word, rest, _ := bytes.Cut(line, []byte(" "))
	if !isVerb(word) {
		d.seen.Foreign = true
		return replyUnknown, false
	}
	d.seen.Spoke = true
	switch verb := strings.ToUpper(string(word)); verb {
	case "EHLO", "HELO":
		d.forget()
		d.seen.Helo = noted(rest)
		if verb == "HELO" {
			return "250 " + d.hostname + "\r\n", false
		}
		// Of extensions, those whose lack makes a sender return mail at once that this host is the last for: RFC 6152 and RFC 6531. Not
		// SIZE, which would limit, nor PIPELINING, with which honest clients send DATA unasked (RFC 2920).
		return "250-" + d.hostname + "\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n", false
	case "MAIL":
		path, ok := pathOf(rest, "FROM:")
		if !ok {
			return replyOrder, false
		}
		_, domain, _ := cutMailbox(path)
		d.from, d.null, d.tried = true, len(path) == 0, false
		d.seen.Sender = noted(domain)
		return replyOK, false
	case "RCPT":
		if path, ok := pathOf(rest, "TO:"); ok && d.from {
			d.recipient(path)
		}
		return replyMail, false
	case "DATA", "BDAT":
		if d.tried && !d.null && d.seen.Tried {
			d.seen.Data = true
		}
		return replyMail, false
	case "RSET":
		d.forget()
		return replyReset, false
	case "NOOP":
		return replyOK, false
	case "VRFY", "EXPN":
		return replyVerify, false
	case "HELP":
		return replyHelp, false
	case "STARTTLS":
		return replyTLS, false
	case "QUIT":
		return replyBye, true
	case "GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS":
		d.seen.Foreign = true
	}
	return replyUnknown, false
}

// forget begins anew (RFC 5321 4.1.1.5).
func (d *dialogue) forget() { d.from, d.null, d.tried = false, false, false }

// recipient notes a recipient that was refused.
func (d *dialogue) recipient(path []byte) {
	local, domain, ok := cutMailbox(path)
	d.tried = true
	name := strings.ToLower(noted(domain))
	if len(d.seen.Recipients) < maxCommands {
		d.seen.Recipients = append(d.seen.Recipients, d.detail(noted(local), name))
	}
	if lower := strings.ToLower(noted(local)); d.null || !ok || lower == "postmaster" || lower == "abuse" {
		return // others than spammers try these at every host of a domain (RFC 5321 4.5.1, RFC 2142)
	}
	if decoy, ours := d.seen.site.decoy(name, d.seen.Local, d.seen.At); ours {
		d.seen.Tried, d.seen.Decoy, d.seen.Age, d.seen.Stale = true, decoy.Decoy, decoy.held.Ago, decoy.held.Stale
		d.seen.Aged = decoy.Turns != nil
	}
}

// isVerb says whether a word could be a command of SMTP: letters and digits.
func isVerb(word []byte) bool {
	for _, c := range word {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return false
		}
	}
	return true
}

// pathOf is the address of MAIL or RCPT, without its brackets and what stands behind them (RFC 5321 4.1.2).
func pathOf(rest []byte, keyword string) (path []byte, ok bool) {
	if len(rest) < len(keyword) || !bytes.EqualFold(rest[:len(keyword)], []byte(keyword)) {
		return nil, false
	}
	path = bytes.TrimLeft(rest[len(keyword):], " ")
	if len(path) > 0 && path[0] == '<' {
		quoted := false
		for i := 1; i < len(path); i++ {
			switch path[i] {
			case '\\':
				i++
			case '"':
				quoted = !quoted
			case '>':
				if !quoted {
					return path[1:i], true
				}
			}
		}
		return nil, false
	}
	path, _, _ = bytes.Cut(path, []byte(" "))
	return path, len(path) > 0
}

// cutMailbox is the local part and the domain of an address, which may have a route before it (RFC 5321 C).
func cutMailbox(path []byte) (local, domain []byte, ok bool) {
	at := bytes.LastIndexByte(path, '@')
	if at < 0 {
		return path, nil, false
	}
	local = path[:at]
	if len(local) > 0 && local[0] == '@' {
		_, local, _ = bytes.Cut(local, []byte(":"))
	}
	return local, bytes.TrimSuffix(path[at+1:], []byte(".")), true
}

// noted is what is kept of something that a client says.
func noted(text []byte) string {
	return strings.ToValidUTF8(string(text[:min(len(text), maxNoted)]), "?")
}
