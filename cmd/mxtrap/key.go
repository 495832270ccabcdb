package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"mxtrap/server/keyring"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
)

func keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Make, list and roll the keys that zones are signed with",
		Args:  func(c *cobra.Command, args []string) error { return unknownCommand(c, args) },
		RunE: func(c *cobra.Command, _ []string) error {
			return usageError{errors.New("no command given: write mxtrap key generate, import, list, ds, status, roll or unsign")}
		},
	}
	c.AddCommand(keyGenerateCommand(), keyImportCommand(), keyListCommand(), keyDSCommand(), keyStatusCommand(), keyRollCommand(), keyUnsignCommand())
	return c
}

func keyGenerateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "generate {ZONE | --all}",
		Short: "Make the key of a zone, or of all signed zones that have none",
		Args:  usage(cobra.MaximumNArgs(1)),
	}
	named := configFlag(c)
	all := c.Flags().Bool("all", false, "make a key for each zone that is to be signed and has none")
	algorithm := c.Flags().String("algorithm", "ECDSAP256SHA256", "ECDSAP256SHA256 (13) or ED25519 (15)")
	c.RunE = func(c *cobra.Command, args []string) error {
		path := configPath(*named)
		number, err := algorithmOf(*algorithm)
		if err != nil {
			return usageError{err}
		}
		if *all == (len(args) == 1) {
			return usageError{errors.New("name a zone, or write --all")}
		}
		config, err := keyConfig(path)
		if err != nil {
			return err
		}
		var zones []dname.Name
		if *all {
			in, err := loaded(c, path, false, false)
			if err != nil {
				return err
			}
			zones = in.Keyless
		} else {
			zone, err := zoneName(args[0])
			if err != nil {
				return err
			}
			if keys, err := keyring.New(config, nil).Of(zone); err == nil {
				return fmt.Errorf("%s has a key already: %s; mxtrap key roll takes the next step to a new one", zone.Bare(), keys[len(keys)-1])
			}
			zones = append(zones, zone)
		}
		now := time.Now().Unix()
		for _, zone := range zones {
			k, err := sign.Generate(zone, number)
			if err != nil {
				return err
			}
			k.Times = sign.Times{Created: now, Publish: now, Activate: now, SyncPublish: now}
			file, err := config.Write(k)
			if err != nil {
				return err
			}
			fmt.Println(file)
		}
		if len(zones) == 0 {
			fmt.Fprintln(os.Stderr, "every zone that is to be signed has a key")
		}
		return nil
	}
	return c
}

func keyImportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "import ZONE FILE",
		Short: "Take a private key from another program: BIND's format, or PEM",
		Long: `Take a private key from another program into the folder of keys, under the names of BIND's key files.

FILE is what pdnsutil export-zone-key prints, a .private file, or a PEM file of Knot's. Files of dnssec-keygen and ldns-keygen come in pairs;
copy both into the folder of keys, and this command is not needed.`,
		Args: usage(cobra.ExactArgs(2)),
	}
	named := configFlag(c)
	ksk := c.Flags().Bool("ksk", false, "the key signs the zone's keys alone, and another one the rest")
	zsk := c.Flags().Bool("zsk", false, "the key signs all but the zone's keys (flags 256)")
	c.RunE = func(c *cobra.Command, args []string) error {
		path := configPath(*named)
		if *ksk && *zsk {
			return usageError{errors.New("--ksk and --zsk: a key is one of both")}
		}
		config, err := keyConfig(path)
		if err != nil {
			return err
		}
		zone, err := zoneName(args[0])
		if err != nil {
			return err
		}
		text, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		flags := uint16(sign.CSK)
		if *zsk {
			flags = sign.ZSK
		}
		k, err := sign.Import(zone, flags, text)
		if err != nil {
			return fmt.Errorf("%s: %w", args[1], err)
		}
		before, _ := keyring.New(config, nil).Of(zone)
		file, err := config.Write(k)
		if err != nil {
			return err
		}
		fmt.Println(file)
		if len(before) > 0 {
			fmt.Fprintf(os.Stderr, "%s has other keys too; mxtrap key list shows which of them sign\n", zone.Bare())
		}
		return nil
	}
	return c
}

func keyListCommand() *cobra.Command {
	return keysCommand("list [ZONE]", "List keys with what they do now", func(zone dname.Name, keys []*sign.Key, k *sign.Key, now int64) {
		fmt.Printf("%s\t%d\t%s\t%s\t%s\n", zone.Bare(), k.Tag, dns.AlgorithmToString[k.Algorithm], k.Kind(keys, now), k.State(now))
	})
}

func keyDSCommand() *cobra.Command {
	return keysCommand("ds [ZONE]", "Print the DS records that the parent zone must have", func(zone dname.Name, _ []*sign.Key, k *sign.Key, now int64) {
		if k.IsEntry() && k.Times.Synced(now) {
			printDS(zone, [][]byte{k.DS(sign.SHA256)})
		}
	})
}

// keysCommand is a command that prints something of each key of a zone, or of all signed zones.
func keysCommand(use, short string, print func(zone dname.Name, keys []*sign.Key, k *sign.Key, now int64)) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: usage(cobra.MaximumNArgs(1))}
	named := configFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return eachZone(c, configPath(*named), args, nil, func(zone dname.Name, keys []*sign.Key) {
			for _, k := range keys {
				print(zone, keys, k, time.Now().Unix())
			}
		})
	}
	return c
}

// eachZone calls do for a zone with its keys, or for all signed zones. Where zones cannot be loaded, such as one whose key cannot be read, it
// tells so at the end. In is what was loaded; nil: it is loaded where that is needed.
func eachZone(c *cobra.Command, path string, args []string, in *inspection, do func(zone dname.Name, keys []*sign.Key)) error {
	config, err := keyConfig(path)
	if err != nil {
		return err
	}
	var zones []dname.Name
	var faults []conf.Problem
	if len(args) == 1 {
		zone, err := zoneName(args[0])
		if err != nil {
			return err
		}
		zones = append(zones, zone)
	} else {
		if in == nil {
			if in, err = loaded(c, path, false, false); err != nil {
				return err
			}
		}
		for _, z := range in.Zones {
			if z.Plan() != nil {
				zones = append(zones, dname.Name(z.Apex()))
			}
		}
		faults = slices.DeleteFunc(in.Problems, func(p conf.Problem) bool { return p.Warning })
	}
	ring := keyring.New(config, nil)
	for _, zone := range zones {
		keys, err := ring.Of(zone)
		if err != nil {
			return err
		}
		do(zone, keys)
	}
	if len(faults) > 0 {
		tell(faults)
		return errReported
	}
	return nil
}

// keyConfig reads where keys are, as a server file says it.
func keyConfig(path string) (keyring.Config, error) {
	if path == "" {
		return keyring.Config{}, errNoConfig
	}
	config, err := readConfig(path)
	if err != nil {
		return keyring.Config{}, err
	}
	config.UseStateOfService()
	return config.DNSSEC, nil
}

func zoneName(text string) (dname.Name, error) {
	zone, err := dname.Parse(text, dname.Root)
	if err != nil {
		return zone, usageError{fmt.Errorf("%q: %w", text, err)}
	}
	return zone, nil
}

func algorithmOf(text string) (uint8, error) {
	switch text {
	case "13", "ECDSAP256SHA256":
		return dns.ECDSAP256SHA256, nil
	case "15", "ED25519":
		return dns.ED25519, nil
	}
	return 0, fmt.Errorf("--algorithm %s: mxtrap makes keys of ECDSAP256SHA256 (13) and ED25519 (15)", text)
}
