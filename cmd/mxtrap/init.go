package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	mxtrap "mxtrap/server"
	"mxtrap/server/answer"
	"mxtrap/server/survey"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/mail"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
	"mxtrap/zone/source"
)

func initCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "init DOMAIN",
		Short: "Write a server file and a zone file for a domain, as its present name servers have it, with a trap",
		Long: `Write a server file and a zone file for a domain, as its present name servers have it, with a trap that fits.

Where a name server sends the whole zone, the file has all of it. Elsewhere mxtrap asks for the names that a mail domain usually has; others
stay unknown, for DNS does not list names. What honest mail or a savvy sender would see of the trap is printed, as mxtrap audit does.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	from := c.Flags().StringSlice("from", nil, "addresses of the present name servers (default: those that the resolver knows)")
	resolver := c.Flags().StringSlice("resolver", nil, "addresses of resolvers (default: those of the system)")
	out := c.Flags().StringP("out", "o", ".", "folder to write to")
	c.RunE = func(c *cobra.Command, args []string) error {
		apex, err := dname.Parse(args[0], dname.Root)
		if err != nil || !plainName.MatchString(apex.Bare()) {
			return usageError{fmt.Errorf("%q is not the name of a mail domain", args[0])}
		}
		for _, list := range []*[]string{from, resolver} {
			for i, text := range *list {
				if a, err := netip.ParseAddr(text); err == nil {
					(*list)[i] = netip.AddrPortFrom(a, 53).String()
				} else if _, err := netip.ParseAddrPort(text); err != nil {
					return usageError{fmt.Errorf("%q is not an address", text)}
				}
			}
		}
		server, file := filepath.Join(*out, "mxtrap.toml"), filepath.Join(*out, "zones", apex.Bare()+".toml")
		if _, err := os.Lstat(file); err == nil {
			return fmt.Errorf("%s is there already", file)
		}
		found, err := survey.Look(c.Context(), apex.Bare(), *resolver, *from)
		if err != nil {
			return fmt.Errorf("%s: %w", apex.Bare(), err)
		}
		text, doubts, err := starting(found, apex)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := writeNew(file, text); err != nil {
			return err
		}
		fmt.Println("wrote", file)
		switch err := writeNew(server, serverFile); {
		case errors.Is(err, os.ErrExist):
			fmt.Println(server, "is there already, and stays as it is")
		case err != nil:
			return err
		default:
			fmt.Println("wrote", server)
		}
		for _, doubt := range doubts {
			fmt.Println("note:", doubt)
		}
		fmt.Printf("\nNext: read %s, then run\n\n    mxtrap check --config %s\n", file, server)
		var report conf.Report
		if c := mxtrap.CheckConfig(server, &report); c != nil && len(c.Listen) > 0 {
			at := mxtrap.Reachable(c.Listen[0])
			fmt.Printf("    mxtrap serve --config %s     (or start the service)\n    dig @%s -p %d %s MX\n", server, at.Addr(), at.Port(), apex.Bare())
		}
		return nil
	}
	return c
}

// plainName is what names of mail domains are made of (RFC 5321 2.3.5).
var plainName = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// serverFile is what a new server begins with.
const serverFile = `# The server file of mxtrap. Each key has its default here, but for listen, zones and state.

[server]
listen  = ["127.0.0.1:5353"]     # for the world: your public addresses, such as ["192.0.2.53:53", "[2001:db8::53]:53"]
metrics = "127.0.0.1:9153"       # for Prometheus; "" switches HTTP off
zones   = ["zones/*.toml"]       # the zone files, beside this file
state   = "state"                # a folder for what must survive a restart

[transfer]
allow  = []                      # your secondaries, such as ["192.0.2.2"]
notify = []                      # the same ones, to be told of changes

[catch]
# listen = ["decoys"]            # answers SMTP at the decoys' own addresses, where this host has them
`

// starting is the zone file of what was found, and what is to be known about it.
func starting(f *survey.Found, apex dname.Name) (text string, doubts []string, err error) {
	d := &source.Draft{Apex: apex, Records: f.Records, Note: noteOn(f, apex)}
	plain, err := d.TOML()
	if err != nil {
		return "", nil, fmt.Errorf("mxtrap cannot serve the domain as %s does: %w", f.From, err)
	}
	head := fmt.Sprintf("# %s, as the name server %s had it. ", apex.Bare(), f.From)
	if f.Whole {
		head += "It sent the whole zone.\n\n"
	} else {
		head += "It sends no zone transfers, so this file has the names that\n# mxtrap asked for. DNS does not list names: add those that are missing.\n\n"
		doubts = append(doubts, "the name servers send no zone transfer; compare the file with what you have there, for it may lack names")
	}
	if f.Signed {
		doubts = append(doubts, "the domain is signed. Before you delegate it here, import its keys (mxtrap key import) and set dnssec = true, or have the parent delete its DS records; else validating resolvers refuse the domain, and mail is lost")
	}
	if len(f.Silent) > 0 {
		doubts = append(doubts, fmt.Sprintf("nobody answered %s", firstOf(f.Silent)))
	}
	trap, why := trapFor(f, apex)
	if trap == "" {
		return head + plain + "\n# No [trap]: " + why + ".\n", append(doubts, "no trap: "+why), nil
	}
	d.After = trap
	with, err := d.TOML()
	if err == nil {
		var findings []string
		if findings, err = auditText(with); err == nil {
			return head + with, append(doubts, findings...), nil
		}
	}
	return head + plain + "\n# The trap does not fit yet: " + err.Error() + "\n" + commented(trap), append(doubts, "the trap does not fit yet, and stands in the file as a comment: "+err.Error()), nil
}

// noteOn says what an owner's records are for.
func noteOn(f *survey.Found, apex dname.Name) func(dname.Name) string {
	return func(owner dname.Name) string {
		name := owner.Relative(apex)
		switch {
		case name == "@":
			return "The domain itself: its name servers, where its mail goes, who may send its mail (SPF)."
		case name == "_dmarc":
			return "What receivers do with mail that fails SPF and DKIM (DMARC)."
		case strings.HasSuffix(name, "._domainkey"):
			return "A key by which receivers verify mail (DKIM)."
		case name == "_mta-sts", name == "mta-sts":
			return "MTA-STS: its policy, at https://mta-sts." + apex.Bare() + ", must name every real mail host and cover."
		case strings.HasPrefix(name, "_25._tcp."):
			return "The key of a mail host (DANE)."
		case slices.ContainsFunc(f.Records, func(r rr.Record) bool { return r.Type == dns.TypeMX && zone.NameOf(r.Data[2:]) == owner.Bare() }):
			return "A mail host."
		}
		return ""
	}
}

// trapFor is a trap that fits the exchanges, or why there is none.
func trapFor(f *survey.Found, apex dname.Name) (trap, why string) {
	var hosts []string
	outside := false
	lowest, best := -1, ""
	for _, r := range f.Records {
		if r.Type != dns.TypeMX || r.Owner != string(apex) {
			continue
		}
		host := zone.NameOf(r.Data[2:])
		if hosts = append(hosts, host); !zone.Within(string(r.Data[2:]), string(apex)) {
			outside = true
		}
		if n := int(r.Data[0])<<8 | int(r.Data[1]); lowest < 0 || n < lowest {
			lowest, best = n, host
		}
	}
	if len(hosts) == 0 || len(hosts) == 1 && hosts[0] == "." {
		return "", "the domain takes no mail by MX records"
	}
	var b strings.Builder
	b.WriteString("# Decoys: MX records with higher numbers than the real ones, for those who take the highest.\n[trap]\ncount = 2\n")
	b.WriteString("# addresses = [\"192.0.2.26\", \"192.0.2.27\"]   # better: addresses of your own, on which nothing else takes mail; see DECOYS.md\n")
	b.WriteString("# Without addresses the decoys have those of the primary, so that whoever takes them meets your main host.\n")
	if outside {
		b.WriteString("cover = true     # hosts elsewhere get names in this zone, so that they do not stand out; mxtrap looks their addresses up\n")
	}
	var tlsa []string
	for _, r := range f.Records {
		if r.Type == dns.TypeTLSA && dname.Name(r.Owner).Bare() == "_25._tcp."+best {
			tlsa = append(tlsa, fmt.Sprintf("%q", rdata.Append(nil, r.Type, r.Data)))
		}
	}
	if len(tlsa) > 0 {
		fmt.Fprintf(&b, "tlsa  = [%s]   # the primary's, for the decoys lead there\n", strings.Join(tlsa, ", "))
	}
	return b.String(), ""
}

// commented is a text as a comment.
func commented(text string) string {
	return "# " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n# ") + "\n"
}

// auditText is what an audit of a zone file finds. The error is its first fault.
func auditText(text string) (findings []string, err error) {
	var report conf.Report
	s := source.Parse("zone", []byte(text), &report)
	var z *zone.Zone
	if s != nil {
		z = s.Compile(nil, &report)
	}
	for _, p := range report.Problems() {
		if !p.Warning {
			return nil, errors.New(p.Reason)
		}
		findings = append(findings, p.Reason)
	}
	ask := answer.NewAsker([]*zone.Zone{z}).Ask
	domains, err := mail.Domains(z, ask, func(string) []netip.Addr { return nil })
	if err != nil { // the addresses of hosts elsewhere are not known here
		return append(findings, "the trap leads to hosts outside the zone, which serve looks up; mxtrap audit "+z.Name()+" --resolve tells what there is to be known about it"), nil
	}
	for _, d := range domains {
		for _, f := range d.Audit(ask) {
			findings = append(findings, fmt.Sprintf("%s: %s: %s; %s", f.Severity, firstOf(f.About), f.Sees, f.Change))
		}
	}
	return findings, nil
}
