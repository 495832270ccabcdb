package catch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"time"
)

// Sighting is what a session came to.
type Sighting struct {
	At         time.Time
	Client     netip.AddrPort
	Local      netip.Addr // the decoy's address
	Decoy      Decoy      // the one whose owner a recipient was of; or else one of those at the address
	Helo       string
	Sender     string   // the domain of the last sender
	Recipients []string // as the configuration wants them told

	Age   int64 // for how many seconds the decoy has been in no MX set any more: the client's list is as old
	Aged  bool  // the age is known
	Stale bool  // it is longer than caches keep a list

	Early   bool // spoke before the greeting
	Foreign bool // spoke something else than SMTP
	Spoke   bool // spoke SMTP
	Tried   bool // named a sender and a recipient of an owner of this decoy
	Data    bool // and went on to DATA, though every recipient was refused

	site *Site
}

// Rung is how far up the ladder of evidence a session is.
type Rung uint8

// The rungs.
const (
	E0 Rung = iota // connected
	E1             // spoke SMTP as testers and monitors do
	E2             // spoke before the greeting, or not SMTP
	E3             // named a sender and a recipient of the decoy's domain
	E4             // and went on to DATA, though every recipient was refused
	Rungs
)

func (r Rung) String() string { return "E" + string('0'+rune(r)) }

// Rung is the highest that the session reached.
func (s *Sighting) Rung() Rung {
	switch {
	case s.Data:
		return E4
	case s.Tried:
		return E3
	case s.Early || s.Foreign:
		return E2
	case s.Spoke:
		return E1
	}
	return E0
}

// log tells of a session in one line. The client comes first, where programs that read logs look for it.
func (s *Sighting) log(log *slog.Logger, now time.Time) {
	log.Info("catch", "client", s.Client.Addr().String(), "port", s.Client.Port(), "rung", s.Rung().String(), "decoy", s.Decoy.Host, "owner", s.Decoy.Owner,
		"helo", s.Helo, "sender", s.Sender, "recipients", s.Recipients, "early", s.Early, "foreign", s.Foreign, "list_age", s.Age, "seconds", int(now.Sub(s.At).Seconds()))
}

// hashed is how many octets of a recipient's hash are told: enough to tell recipients apart, and too few to be sure of one.
const hashed = 6

// detailOf is the function that says of a recipient what the configuration wants told.
func detailOf(d Detail, key func() []byte) func(local, domain string) string {
	return func(local, domain string) string {
		switch d {
		case Full:
			return local + "@" + domain
		case Domains:
			return domain
		}
		h := hmac.New(sha256.New, key())
		h.Write([]byte(local))
		return hex.EncodeToString(h.Sum(nil)[:hashed]) + "@" + domain
	}
}
