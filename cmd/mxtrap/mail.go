package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mxtrap/server/answer"
	"mxtrap/server/probe"
	"mxtrap/zone/mail"
)

// looked is a zone as those see it who send mail to it.
type looked struct {
	*inspection
	domains []*mail.Domain
	ask     mail.Ask
}

// lookAt loads everything and returns what one zone shows to those who send mail to it.
func lookAt(c *cobra.Command, path string, resolve, example bool, name string) (*looked, error) {
	in, err := loaded(c, path, resolve, example)
	if err != nil {
		return nil, err
	}
	z, err := in.named(name)
	if err != nil {
		tell(in.Problems)
		return nil, err
	}
	if resolve {
		tell(in.Problems) // such as look-ups that failed
	}
	l := &looked{inspection: in, ask: answer.NewAsker(in.Zones).Ask}
	l.domains, err = mail.Domains(z, l.ask, in.Known)
	return l, err
}

func simulateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "simulate ZONE",
		Short: "Show where each kind of mail sender would connect",
		Long: `Show where each kind of mail sender would connect, computed from the answers that the server gives, for each owner with decoys.

A decoy that has the address of a real host leads to that host; it counts as a decoy here. "waits" is mail that stays in the sender's
queue, because every host that he would try is down. A resolver may turn the order of the answer round: "last in the answer" is then as
"any host". The second table tells how much goes to decoys with the same real hosts in each style of trap.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	path, resolve, asJSON := configFlag(c), resolveFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		l, err := lookAt(c, *path, *resolve, true, args[0])
		if err != nil {
			return err
		}
		var all []simulation
		for _, d := range l.domains {
			all = append(all, simulate(d))
		}
		if *asJSON {
			return writeJSON(os.Stdout, all)
		}
		for _, s := range all {
			s.print(os.Stdout)
		}
		return nil
	}
	return c
}

// simulation is what simulate prints of a domain.
type simulation struct {
	*mail.Domain
	Style   string      `json:"style"`
	Senders []simulated `json:"senders"`
	styles  []mail.Style
}

// simulated is where a sender's connections go.
type simulated struct {
	mail.Sender
	mail.Shares
	DecoysByStyle map[string]float64 `json:"decoys_by_style"`
}

func simulate(d *mail.Domain) simulation {
	s := simulation{Domain: d, Style: d.Style(), styles: d.Styles()}
	for _, sender := range mail.Senders {
		byStyle := map[string]float64{}
		for _, style := range s.styles {
			byStyle[style.Name] = sender.Simulate(style.Domain).Decoys
		}
		s.Senders = append(s.Senders, simulated{sender, sender.Simulate(d), byStyle})
	}
	return s
}

func (s *simulation) print(to io.Writer) {
	fmt.Fprintf(to, "%s, style %s\n\n", s.Owner, s.Style)
	w := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	for _, e := range s.Exchanges {
		what := string(e.Role)
		if e.CoverFor != "" {
			what += ", cover for " + e.CoverFor
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", e.Preference, e.Host, what, addressText(e))
	}
	w.Flush()
	fmt.Fprintln(to)
	row := func(w io.Writer, first string, cells ...string) {
		fmt.Fprintf(w, "%s\t%s\t\n", first, strings.Join(cells, "\t"))
	}
	// Columns of numbers stand to the right; the first column is filled up to stand to the left.
	width := 0
	for _, sender := range s.Senders {
		width = max(width, len(sender.Name))
	}
	left := func(text string) string { return fmt.Sprintf("%-*s", width, text) }
	w = tabwriter.NewWriter(to, 8, 0, 2, ' ', tabwriter.AlignRight)
	row(w, left("sender"), "primary", "fallback", "decoys", "waits")
	for _, sender := range s.Senders {
		row(w, left(sender.Name), percent(sender.Primary), percent(sender.Fallback), percent(sender.Decoys), percent(sender.Waits))
	}
	w.Flush()
	fmt.Fprintln(to, "\nTo decoys, by style:")
	w = tabwriter.NewWriter(to, 8, 0, 2, ' ', tabwriter.AlignRight)
	byStyle := func(cell func(style string) string) (cells []string) {
		for _, style := range s.styles {
			cells = append(cells, cell(style.Name))
		}
		return cells
	}
	row(w, left("sender"), byStyle(func(style string) string { return style })...)
	for _, sender := range s.Senders {
		row(w, left(sender.Name), byStyle(func(style string) string { return percent(sender.DecoysByStyle[style]) })...)
	}
	w.Flush()
	for _, style := range s.styles {
		fmt.Fprintf(to, "%s: %s\n", style.Name, style.Says)
	}
}

func addressText(e mail.Exchange) string {
	if len(e.Addresses) == 0 {
		return "(addresses elsewhere)"
	}
	return strings.Trim(fmt.Sprint(e.Addresses), "[]")
}

func percent(part float64) string { return fmt.Sprintf("%.0f%%", 100*part) }

func auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit ZONE",
		Short: "List what gives a trap away, and where it could harm honest mail",
		Long: `List what gives a trap away, and where it could harm honest mail, computed from the answers that the server gives.

A hazard is what honest mail may suffer from; a weakness is what a savvy sender sees; advice concerns what is outside of the zone.
The exit code is 1 where there are hazards.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	path, resolve, asJSON := configFlag(c), resolveFlag(c), jsonFlag(c)
	connect := c.Flags().Bool("connect", false, "connect to port 25 of each decoy, to see whether it tells senders to try again, and of each real host")
	c.RunE = func(c *cobra.Command, args []string) error {
		l, err := lookAt(c, *path, *resolve, true, args[0])
		if err != nil {
			return err
		}
		var all []mail.Finding
		for _, d := range l.domains {
			all = append(all, d.Audit(l.ask)...)
			if *resolve {
				all = append(all, probe.MissingPTR(c.Context(), l.config.Resolvers, d)...)
			}
			if *connect {
				all = append(all, probe.UnfitDecoys(c.Context(), "25", d)...)
				all = append(all, probe.UnwellHosts(c.Context(), 25, d)...)
			}
		}
		hazards := mail.Hazards(all)
		if *asJSON {
			err = writeJSON(os.Stdout, append([]mail.Finding{}, all...))
		} else {
			for _, f := range all {
				fmt.Printf("%s: %s: %s\n    to do: %s\n", f.Severity, firstOf(f.About), f.Sees, f.Change)
			}
			fmt.Printf("%s, %s\n", plural(len(all), "finding"), plural(hazards, "hazard"))
		}
		if err == nil && hazards > 0 {
			err = errReported
		}
		return err
	}
	return c
}

// exports are the forms in which the mail side gets the decoys' addresses.
var exports = []struct {
	name, says string
	print      func([]netip.Addr) string
}{
	{"list", "the decoys' addresses, a line each", mail.List},
	{"nftables", "a table that counts and logs connections to decoys: nft -f FILE", mail.Nftables},
	{"postscreen", "a setting for main.cf: clients that talk to decoys alone never get onto postscreen's allow list", mail.Postscreen},
}

func exportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Print the decoys' addresses as the mail side needs them",
		Args:  usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return usageError{fmt.Errorf("choose what to export: list, nftables or postscreen")}
		},
	}
	for _, export := range exports {
		sub := &cobra.Command{Use: export.name + " [ZONE]", Short: "Print " + export.says, Args: usage(cobra.MaximumNArgs(1))}
		path, resolve := configFlag(sub), resolveFlag(sub)
		sub.RunE = func(c *cobra.Command, args []string) error {
			addrs, err := decoyAddresses(c, *path, *resolve, args)
			if err != nil {
				return err
			}
			_, err = fmt.Print(export.print(addrs))
			return err
		}
		c.AddCommand(sub)
	}
	return c
}

// decoyAddresses are the addresses of the decoys of one zone, or of all. A broken zone among all is an error: the mail side would lose
// its decoys.
func decoyAddresses(c *cobra.Command, path string, resolve bool, args []string) ([]netip.Addr, error) {
	if len(args) == 1 {
		l, err := lookAt(c, path, resolve, false, args[0])
		if err != nil {
			return nil, err
		}
		return mail.DecoyAddresses(l.domains)
	}
	in, err := loaded(c, path, resolve, false)
	if err != nil {
		return nil, err
	}
	if in.faults() > 0 {
		tell(in.Problems)
		return nil, errReported
	}
	ask := answer.NewAsker(in.Zones).Ask
	var all []*mail.Domain
	for _, z := range in.Zones {
		if len(z.Traps()) > 0 {
			domains, err := mail.Domains(z, ask, in.Known)
			if err != nil {
				return nil, err
			}
			all = append(all, domains...)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no zone has decoys")
	}
	return mail.DecoyAddresses(all)
}

func jsonFlag(c *cobra.Command) *bool { return c.Flags().Bool("json", false, "print JSON") }

func writeJSON(to io.Writer, v any) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// firstOf lists the first of some names.
func firstOf(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
