package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"mxtrap/server/keyring"
	"mxtrap/server/resolve"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/sign"
)

func keyStatusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status [ZONE]",
		Short: "Compare keys with the DS records of the parent, and say what to do next",
		Args:  usage(cobra.MaximumNArgs(1)),
	}
	named := configFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		path, broken := configPath(*named), false
		in, err := loaded(c, path, false, false)
		if err != nil {
			return err
		}
		err = eachZone(c, path, args, in, func(zone dname.Name, keys []*sign.Key) {
			now := time.Now().Unix()
			parent := parentOf(c, path, zone)
			if z, err := in.named(zone.Bare()); err == nil && z.Plan() == nil {
				fmt.Printf("%s\tis not signed here: set dnssec = true in its file before the parent has a DS record\n", zone.Bare())
				broken = broken || len(parent.DS) > 0
				return
			}
			for _, k := range keys {
				fmt.Printf("%s\tkey %d\t%s\t%s\t%s\tDS: %s\n", zone.Bare(), k.Tag, dns.AlgorithmToString[k.Algorithm], k.Kind(keys, now), k.State(now), atParent(k, parent))
			}
			s, err := sign.StatusOf(keys, parent, now)
			if err != nil {
				s.Says, broken = err.Error(), true
			}
			broken = broken || s.Stage == sign.Broken
			fmt.Printf("%s\t%s\n", zone.Bare(), s.Says)
			if s.Stage == sign.Unlinked || s.Stage == sign.Broken || s.Stage == sign.Swapping {
				printDS(zone, s.Wants)
			}
		})
		if err == nil && broken {
			return errReported
		}
		return err
	}
	return c
}

// atParent says whether the parent has a key's DS.
func atParent(k *sign.Key, p sign.Parent) string {
	if p.Err != nil {
		return "unknown (" + p.Err.Error() + ")"
	}
	for _, ds := range p.DS {
		if k.Is(ds) {
			return "at the parent"
		}
	}
	return "not at the parent"
}

func printDS(zone dname.Name, records [][]byte) {
	for _, ds := range records {
		fmt.Printf("%s\tIN\tDS\t%s\n", zone, rdata.Append(nil, dns.TypeDS, ds))
	}
}

func keyRollCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "roll ZONE",
		Short: "Take the next step to a new key",
		Long: `Take the next step to a new key, if it is time for one.

The first call makes the new key, which signs beside the old one at once. It writes into the files when CDS and CDNSKEY ask the parent for the
new DS record. When the parent has that one alone, a second call retires the old key. Copy the files to the other servers after each call, and
reload. mxtrap key status says what is next.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	named := configFlag(c)
	algorithm := c.Flags().String("algorithm", "", "of the new key; default: that of the old one")
	c.RunE = func(c *cobra.Command, args []string) error {
		path := configPath(*named)
		config, ring, zone, keys, err := keysOf(path, args[0])
		if err != nil {
			return err
		}
		var number uint8
		if *algorithm != "" {
			if number, err = algorithmOf(*algorithm); err != nil {
				return usageError{err}
			}
		}
		in, err := loaded(c, path, false, false)
		if err != nil {
			return err
		}
		z, err := in.named(args[0])
		if err != nil {
			return err
		}
		if z.Plan() == nil {
			return fmt.Errorf("%s is not signed: set dnssec = true in its file first", z.Name())
		}
		successor := func(algorithm uint8) (*sign.Key, error) { return ring.Successor(zone, keys, algorithm) }
		write, says, err := sign.Roll(keys, parentOf(c, path, zone), z.Plan().MaxTTL(), number, successor, time.Now().Unix())
		if err != nil {
			return err
		}
		return writeKeys(config, keys, write, says)
	}
	return c
}

func keyUnsignCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "unsign ZONE",
		Short: "Have the parent delete the DS records, so that the zone can be served unsigned",
		Args:  usage(cobra.ExactArgs(1)),
	}
	named := configFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		path := configPath(*named)
		config, _, _, keys, err := keysOf(path, args[0])
		if err != nil {
			return err
		}
		write := sign.Withdraw(keys, time.Now().Unix())
		if len(write) == 0 {
			return errors.New("CDS and CDNSKEY ask the parent to delete the DS records already; mxtrap key status says what is next")
		}
		return writeKeys(config, keys, write, "CDS and CDNSKEY will ask the parent to delete the DS records; leave dnssec = true until mxtrap key status says otherwise")
	}
	return c
}

// keysOf reads the keys of a zone.
func keysOf(path, name string) (config keyring.Config, ring *keyring.Ring, zone dname.Name, keys []*sign.Key, err error) {
	if zone, err = zoneName(name); err != nil {
		return config, nil, zone, nil, err
	}
	if config, err = keyConfig(path); err != nil {
		return config, nil, zone, nil, err
	}
	ring = keyring.New(config, nil)
	keys, err = ring.Of(zone)
	return config, ring, zone, keys, err
}

// writeKeys writes the files of keys, of which those that were there before are replaced.
func writeKeys(config keyring.Config, before, write []*sign.Key, says string) error {
	for _, k := range write {
		var err error
		known := false
		for _, old := range before {
			known = known || old.File() == k.File()
		}
		if known {
			err = config.Replace(k)
		} else {
			_, err = config.Write(k)
		}
		if err != nil {
			return err
		}
		fmt.Println(config.Path(k))
	}
	fmt.Fprintln(os.Stderr, says+"; copy the files to the other servers, and reload")
	return nil
}

// parentOf asks the configured resolvers for the DS records of a zone.
func parentOf(c *cobra.Command, path string, zone dname.Name) (p sign.Parent) {
	config, err := readConfig(path)
	if err != nil {
		return sign.Parent{Err: err}
	}
	p.DS, p.TTL, p.Err = resolve.DS(c.Context(), config.Resolvers, zone.Bare())
	return p
}
