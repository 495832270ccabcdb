package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"mxtrap/server/peer"
	"mxtrap/server/survey"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
	"mxtrap/zone/sign"
	"mxtrap/zone/source"
)

func importCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "import ZONE [FILE]",
		Short: "Turn a master file, or what another server has, into a zone file",
		Long: `Turn a master file, or what another server has, into a zone file, and print it. With --from the zone comes by a transfer (AXFR).

What is printed serves the same records: mxtrap reads it again and compares. What signing has added is left out.`,
		Args: usage(cobra.RangeArgs(1, 2)),
	}
	from := c.Flags().String("from", "", "address of a server that sends the zone, such as 192.0.2.1 or 192.0.2.1:5353")
	tsig := c.Flags().String("tsig", "", "file with the key that signs the request: a line with NAME ALGORITHM SECRET")
	out := c.Flags().StringP("out", "o", "", "file to write instead of printing; it must not exist")
	c.RunE = func(c *cobra.Command, args []string) error {
		apex, err := dname.Parse(args[0], dname.Root)
		if err != nil {
			return usageError{fmt.Errorf("%q: %w", args[0], err)}
		}
		var records []rr.Record
		switch {
		case (len(args) == 2) == (*from != ""):
			return usageError{errors.New("name a master file, or a server with --from")}
		case *from != "":
			records, err = transferred(c.Context(), *from, *tsig, apex)
		default:
			records, err = read(args[1], apex)
		}
		if err != nil {
			return err
		}
		text, err := (&source.Draft{Apex: apex, Records: records}).TOML()
		if err != nil {
			return fmt.Errorf("mxtrap cannot serve the zone so: %w", err)
		}
		if slices.ContainsFunc(records, func(r rr.Record) bool { return r.Type == dns.TypeDNSKEY }) {
			fmt.Fprintf(os.Stderr, "warning: the zone is signed, and the file has neither its keys nor its signatures: before you delegate it here, import the keys with mxtrap key import, or have the parent delete its DS records\n")
		}
		if *out == "" {
			fmt.Print(text)
			return nil
		}
		return writeNew(*out, text)
	}
	return c
}

// writeNew writes a file that is not there yet.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err = f.WriteString(text); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// transferred are the records that a server sends.
func transferred(ctx context.Context, server, tsig string, apex dname.Name) ([]rr.Record, error) {
	address, err := netip.ParseAddrPort(server)
	if err != nil {
		a, err := netip.ParseAddr(server)
		if err != nil {
			return nil, usageError{fmt.Errorf("--from: %q is not an address", server)}
		}
		address = netip.AddrPortFrom(a, 53)
	}
	var key *peer.Key
	if tsig != "" {
		text, err := source.ReadText(tsig)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tsig, conf.Plain(err))
		}
		words := append(strings.Fields(string(text)), "", "")
		if key, err = peer.ParseKey(words[0], strings.TrimSpace(strings.Join(words[1:], " "))); err != nil {
			return nil, fmt.Errorf("%s: write NAME ALGORITHM SECRET: %w", tsig, err)
		}
	}
	records, err := survey.Transfer(ctx, address.String(), apex.Bare(), key)
	if err != nil {
		return nil, fmt.Errorf("%s does not send %s: %w", address, apex.Bare(), err)
	}
	return records, nil
}

// read are the records of a master file.
func read(path string, apex dname.Name) ([]rr.Record, error) {
	var report conf.Report
	s := source.OfMaster(path, apex, &report)
	z := s.Compile(nil, &report)
	tell(report.Problems())
	if z == nil {
		return nil, errReported
	}
	var records []rr.Record
	for r := range z.Records() {
		if !sign.Made(r.Type) || r.Type == dns.TypeDNSKEY {
			records = append(records, r)
		}
	}
	return records, nil
}
