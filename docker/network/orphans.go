package network

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"github.com/vishvananda/netlink"
)

// What is plugged is marked with the directory in which it is recorded: the host's end of a veth pair in its alias, an
// interface of Open vSwitch in external_ids.
const (
	aliasMark = "ndock "
	ovsMark   = "ndock-directory"
)

func (p Port) alias() string { return aliasMark + p.Dir }

// Plugged returns the ports that are plugged on this host for servers whose directories are in state. Only Dir, Server, Kind
// and the beginning of ID are set.
func Plugged(state string) ([]Port, error) {
	found := map[string]Port{}
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) { // what it misses is there the next time
		return nil, err
	}
	for _, link := range links {
		if dir, marked := strings.CutPrefix(link.Attrs().Alias, aliasMark); marked {
			add(found, state, dir, link.Attrs().Name, LinuxBridge)
		}
	}
	if err := pluggedInVSwitch(ovsdbSocket, found, state); err != nil {
		return nil, err
	}
	ports := make([]Port, 0, len(found))
	for _, port := range found {
		ports = append(ports, port)
	}
	return ports, nil
}

// pluggedInVSwitch adds the ports in the Open vSwitch that listens at a socket. Where none runs there are none.
func pluggedInVSwitch(socket string, found map[string]Port, state string) error {
	err := withVSwitch(socket, func(_ context.Context, ovs vswitch) error {
		results, err := ovs.transact(ovsdb.Operation{Op: ovsdb.OperationSelect, Table: "Interface", Columns: []string{"name", "external_ids"}})
		if err != nil {
			return err
		}
		for _, row := range results[0].Rows {
			ids, _ := row["external_ids"].(ovsdb.OvsMap)
			dir, _ := ids.GoMap[ovsMark].(string)
			name, _ := row["name"].(string)
			add(found, state, dir, name, OpenVSwitch)
		}
		return nil
	})
	if isNotRunning(err) {
		return nil
	}
	return err
}

// isNotRunning tells whether nothing listens at a socket: it is not there, or its program was killed and left it.
func isNotRunning(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// add adds a link, if it is named and marked as a port's.
func add(found map[string]Port, state, dir, name string, kind Kind) {
	if len(name) < len("tap")+idInName || filepath.Dir(dir) != state {
		return
	}
	id := name[len("tap"):]
	found[dir+id] = Port{ID: id, Dir: dir, Server: filepath.Base(dir), Kind: kind}
}

// Orphan tells whether no server has a plugged port.
func Orphan(plugged Port) (bool, error) {
	ports, err := Ports(plugged.Dir)
	if err != nil {
		return false, err
	}
	for _, port := range ports {
		if port.Tap() == plugged.Tap() {
			return false, nil
		}
	}
	return true, nil
}

// Pinned returns the ids of the containers that have an entry in a directory like NetnsDir.
func Pinned(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ids := make([]string, len(entries))
	for i, entry := range entries {
		ids[i] = entry.Name()
	}
	return ids, nil
}
