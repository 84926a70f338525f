package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"ndock/openstack/node"
	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/system"
)

// firewall is the step that removes what Docker Engine left in this host's packet filter, once the engine makes no rules any
// more: else they stay until the host is booted. What Neutron bridges passes FORWARD (br_netfilter), where Docker sets a
// policy that drops it.
type firewall struct {
	Machine
	opened []family // whose policy was DROP before this run
}

func (f *firewall) Title() string { return "firewall" }

// families are the packet filters, each with the switch by which the host forwards, which Docker turns on.
var families = []family{
	{command: "iptables", forwarding: "net.ipv4.ip_forward", tables: []string{"nat", "filter"}},
	{command: "ip6tables", forwarding: "net.ipv6.conf.all.forwarding", tables: []string{"nat", "filter"}},
}

type family struct {
	command, forwarding string
	tables              []string // that are inspected
	other               bool     // of the implementation, legacy or nft, that iptables is not
}

// filters returns this host's packet filters. iptables has two implementations, legacy and nft, which do not see each other's
// rules, and the kernel applies both. Docker Engine may have made its rules with the one that iptables is no longer.
func (f *firewall) filters(ctx context.Context) []family {
	all := slices.Clone(families)
	for _, one := range families {
		one.other = true
		version, err := system.Control(ctx, f.Commands, one.command, "--version")
		switch {
		case err != nil: // it is not there
		case strings.Contains(version, "(nf_tables)"):
			one.tables = f.loaded(one)
			one.command += "-legacy"
			all = append(all, one)
		case strings.Contains(version, "(legacy)"):
			one.command += "-nft"
			all = append(all, one)
		}
	}
	return all
}

// loaded returns the tables of iptables-legacy that the kernel has. A question for another one would load it.
func (f *firewall) loaded(of family) []string {
	names, err := os.ReadFile(f.Layout.Path("/proc/net/" + strings.Replace(of.command, "tables", "_tables_names", 1)))
	if err != nil { // there are none, or only root may ask
		return nil
	}
	return slices.DeleteFunc(strings.Fields(string(names)), func(table string) bool { return !slices.Contains(of.tables, table) })
}

// leftover is what Docker left in one table.
type leftover struct {
	family family
	table  string
	chains []string // Docker's own
	rules  []string // of other chains, as -A would make them
	policy bool     // FORWARD drops what no rule of Neutron's lets through, and nobody else has rules there
}

func (l leftover) any() bool { return l.policy || len(l.chains)+len(l.rules) > 0 }

func (f *firewall) Plan(ctx context.Context) ([]string, error) {
	all, err := f.leftovers(ctx)
	var plan []string
	for _, left := range all {
		if left.policy {
			text := fmt.Sprintf("let bridges forward, and not the host: policy ACCEPT for FORWARD in place of DROP (%s)", left.family.command)
			if f.forwards(left.family) {
				text += ", " + left.family.forwarding + " = 0"
			}
			plan = append(plan, text)
		}
		for _, rule := range left.rules {
			plan = append(plan, fmt.Sprintf("remove what Docker Engine left: %s -t %s %s", left.family.command, left.table, rule))
		}
		for _, chain := range left.chains {
			plan = append(plan, fmt.Sprintf("remove what Docker Engine left: %s -t %s, chain %s", left.family.command, left.table, chain))
		}
	}
	return plan, err
}

// rulesUnwanted tells whether Docker Engine is configured to make no rules, and no container needs them.
func (f *firewall) rulesUnwanted(ctx context.Context) (bool, error) {
	conf, err := system.Inspect(f.Layout.Path(dockerd.File))
	if err != nil {
		return false, err
	}
	there, err := dockerd.Parse(conf.Content)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", conf.Path, err)
	}
	info, err := f.EngineInfo(ctx)
	return len(info.Networked) == 0 && !info.Swarm && there.NoNetwork(), err
}

func (f *firewall) leftovers(ctx context.Context) ([]leftover, error) {
	if over, err := f.rulesUnwanted(ctx); err != nil || !over {
		return nil, nil // an error is that of another step
	}
	var all []leftover
	for _, family := range f.filters(ctx) {
		for _, table := range family.tables {
			left, err := f.inspect(ctx, family, table)
			if err != nil {
				return nil, err
			}
			if left.any() {
				all = append(all, left)
			}
		}
	}
	return all, nil
}

func (f *firewall) inspect(ctx context.Context, family family, table string) (leftover, error) {
	listed, err := system.Control(ctx, f.Commands, family.command, "-w", "-t", table, "-S")
	switch {
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		return leftover{}, nil
	case err != nil && (notThere(err) || family.other && strings.Contains(err.Error(), "is incompatible")): // nft made that table
		return leftover{}, nil
	case err != nil && strings.Contains(err.Error(), "ermission denied"):
		return leftover{}, &node.Unchecked{Why: "only root may read the packet filter"}
	case err != nil:
		return leftover{}, err
	}
	left := parseTable(listed)
	left.family, left.table = family, table
	left.policy = left.policy && f.isDockers(left)
	return left, nil
}

// isDockers tells whether a table's policy can be Docker's. In the implementation that iptables is not, it is someone else's
// unless Docker has chains or rules beside it, or had some before this run.
func (f *firewall) isDockers(left leftover) bool {
	return !left.family.other || len(left.chains)+len(left.rules) > 0 ||
		slices.ContainsFunc(f.opened, func(one family) bool { return one.command == left.family.command })
}

// notThere tells whether the kernel lacks that packet filter: it was booted with ipv6.disable=1, or has no such modules.
func notThere(err error) bool {
	return strings.Contains(err.Error(), "not supported") || strings.Contains(err.Error(), "Table does not exist")
}

// forwards tells whether this kernel can forward this family at all. That there is a packet filter proves nothing: nftables
// has one for IPv6 also where there is no IPv6.
func (f *firewall) forwards(family family) bool {
	return f.Layout.Exists("/proc/sys/" + strings.ReplaceAll(family.forwarding, ".", "/"))
}

// setForwarding turns the forwarding of a family on ("1") or off ("0").
func (f *firewall) setForwarding(ctx context.Context, family family, value string) error {
	if !f.forwards(family) {
		return nil
	}
	_, err := system.Control(ctx, f.Commands, "sysctl", "-q", "-w", family.forwarding+"="+value)
	return err
}

// dockersBridge matches the names that Docker gives to bridges.
var dockersBridge = regexp.MustCompile(`^(docker0|br-[0-9a-f]{12})$`)

// parseTable finds what is Docker's in a table as `iptables -S` prints it.
func parseTable(listed string) leftover {
	var left leftover
	dropping, others := false, false
	lines := strings.Split(strings.TrimSpace(listed), "\n")
	spared := operatorsChain(lines)
	for _, line := range lines {
		words := strings.Fields(line)
		switch {
		case len(words) < 2 || slices.ContainsFunc(words, spared) || strings.Contains(line, `"`): // Docker writes no comments
			others = others || slices.Contains(words, "FORWARD")
		case words[0] == "-N" && isDockersChain(words[1]):
			left.chains = append(left.chains, words[1])
		case words[0] == "-A" && isDockersChain(words[1]):
		case slices.ContainsFunc(words[2:], isDockersChain) || isAboutBridge(words):
			left.rules = append(left.rules, strings.TrimPrefix(line, "-A "))
		case line == "-P FORWARD DROP":
			dropping = true
		case words[0] == "-A" && words[1] == "FORWARD" && !strings.HasPrefix(words[len(words)-1], "neutron-"):
			others = true
		}
	}
	left.policy = dropping && !others
	return left
}

// isAboutBridge tells whether a rule is one of those that Docker adds to FORWARD and POSTROUTING for its bridges.
func isAboutBridge(words []string) bool {
	return (words[1] == "FORWARD" || words[1] == "POSTROUTING") && slices.ContainsFunc(words[2:], dockersBridge.MatchString)
}

func isDockersChain(word string) bool { return strings.HasPrefix(word, "DOCKER") }

// operatorsChain returns a function that tells whether a word is DOCKER-USER, if the operator has rules in that chain.
func operatorsChain(lines []string) func(word string) bool {
	used := slices.ContainsFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "-A DOCKER-USER ") && line != "-A DOCKER-USER -j RETURN"
	})
	return func(word string) bool { return used && word == "DOCKER-USER" }
}

// Do repeats until nothing is left: Neutron's agents write back what they read before.
func (f *firewall) Do(ctx context.Context) error {
	return system.Await(ctx, f.Timeouts.Poll, f.Timeouts.Engine, func(ctx context.Context) error {
		all, err := f.leftovers(ctx)
		if err != nil {
			return err
		}
		for _, left := range all {
			if err := f.remove(ctx, left); err != nil {
				return err
			}
		}
		if all, err = f.leftovers(ctx); err == nil && len(all) > 0 {
			err = fmt.Errorf("it is there again: %s %s %s", all[0].family.command, all[0].chains, all[0].rules)
		}
		return err
	})
}

func (f *firewall) remove(ctx context.Context, left leftover) error {
	if left.policy { // first forwarding is turned off, so that nothing passes that did not before
		if err := f.setForwarding(ctx, left.family, "0"); err != nil {
			return err
		}
		if err := f.filter(ctx, left, "-P", "FORWARD", "ACCEPT"); err != nil {
			return err
		}
		f.opened = append(f.opened, left.family)
	}
	for _, rule := range left.rules {
		if err := f.filter(ctx, left, append([]string{"-D"}, strings.Fields(rule)...)...); err != nil {
			return err
		}
	}
	for _, verb := range []string{"-F", "-X"} {
		for _, chain := range left.chains {
			if err := f.filter(ctx, left, verb, chain); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *firewall) filter(ctx context.Context, left leftover, words ...string) error {
	_, err := system.Control(ctx, f.Commands, append([]string{left.family.command, "-w", "-t", left.table}, words...)...)
	return err
}

// Rollback restores the policy that this run has changed.
func (f *firewall) Rollback(ctx context.Context) ([]string, error) {
	var failed []error
	for _, family := range f.opened {
		_, policy := system.Control(ctx, f.Commands, family.command, "-w", "-t", "filter", "-P", "FORWARD", "DROP")
		failed = append(failed, policy, f.setForwarding(ctx, family, "1"))
	}
	if len(f.opened) == 0 {
		return nil, nil
	}
	return []string{"FORWARD drops again, and the host forwards"}, errors.Join(failed...)
}

// Teardown has nothing to do: Docker Engine makes its rules itself when it starts.
func (f *firewall) Teardown(context.Context) ([]string, error) { return nil, nil }

func (f *firewall) Detail(ctx context.Context) (string, error) {
	over, err := f.rulesUnwanted(ctx)
	if err != nil {
		return "", fmt.Errorf("whether Docker Engine makes rules: %w", err)
	}
	for _, family := range f.filters(ctx) {
		if !slices.Contains(family.tables, "filter") {
			continue
		}
		if listed, err := system.Control(ctx, f.Commands, family.command, "-w", "-S", "FORWARD"); err == nil && strings.Contains(listed, "-P FORWARD DROP") {
			return fmt.Sprintf("FORWARD drops what no rule lets through (%s): what Neutron bridges between hosts, yours must let through", family.command), nil
		}
	}
	if !over {
		return "Docker Engine has its rules, which drop nothing of Neutron's", nil
	}
	return "nothing of Docker's is in Neutron's way", nil
}
