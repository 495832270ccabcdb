package catch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"time"
)

// Decoy is a decoy at an address.
type Decoy struct {
	Host  string // its name
	Owner string // the domain that has it among its MX records
	Zone  string
}

// Site is what is known of an address of decoys. It never changes but in its health.
type Site struct {
	Decoys []Decoy     // that have the address, one of each owner
	Well   func() bool // whether all real exchanges of all owners are well, and have been long enough

	owners map[string]int // places in Decoys
}

// NewSite makes a site of decoys.
func NewSite(decoys []Decoy, well func() bool) *Site {
	s := &Site{Decoys: decoys, Well: well, owners: make(map[string]int, len(decoys))}
	for i, d := range decoys {
		s.owners[d.Owner] = i
	}
	return s
}

// decoy is that of an owner.
func (s *Site) decoy(owner string) (Decoy, bool) {
	i, ok := s.owners[owner]
	if !ok {
		return Decoy{}, false
	}
	return s.Decoys[i], true
}

// Sighting is what a session came to.
type Sighting struct {
	At         time.Time
	Client     netip.AddrPort
	Local      netip.Addr // the decoy's address
	Decoy      Decoy      // the one whose owner a recipient was of; or else one of those at the address
	Helo       string
	Sender     string   // the domain of the last sender
	Recipients []string // as the configuration wants them told

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
		"helo", s.Helo, "sender", s.Sender, "recipients", s.Recipients, "early", s.Early, "foreign", s.Foreign, "seconds", int(now.Sub(s.At).Seconds()))
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
