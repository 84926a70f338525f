package network

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// ovsdbSocket is where Open vSwitch keeps its configuration, on every distribution.
const ovsdbSocket = "/run/openvswitch/db.sock"

// ovsTimeout is how long Open vSwitch may take to answer, and to add an interface.
const ovsTimeout = 10 * time.Second

// vswitch is the configuration of this host's Open vSwitch (RFC 7047; its tables are in ovs-vswitchd.conf.db(5)).
type vswitch struct{ client *ovsdbClient }

// withVSwitch opens the one that listens at a socket, for a function.
func withVSwitch(socket string, do func(ctx context.Context, ovs vswitch) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), ovsTimeout)
	defer cancel()
	client, err := dialOVSDB(ctx, socket)
	if err != nil {
		return fmt.Errorf("reach Open vSwitch: %w", err)
	}
	defer client.close()
	return do(ctx, vswitch{client})
}

// transact does all of the operations, or none.
func (v vswitch) transact(operations ...ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	results, err := v.client.transact("Open_vSwitch", operations)
	if err != nil {
		return nil, err
	}
	if failed, err := ovsdb.CheckOperationResults(results, operations); err != nil {
		for _, one := range failed {
			err = errors.Join(err, one)
		}
		return nil, err
	}
	return results, nil
}

func named(name string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, name)}
}

// add puts a link of this host into a bridge, as the port's: by the external_ids agents of Neutron's and OVN know it
// (vif_plug_ovs in os-vif). One that is in the bridge is brought up to date.
func (v vswitch) add(link string, port Port) error {
	ids, err := ovsdb.NewOvsMap(map[string]string{
		"iface-id": port.ID, "iface-status": "active", "attached-mac": port.MAC, "vm-uuid": port.Server, ovsMark: port.Dir,
	})
	if err != nil {
		return err
	}
	there, err := v.rows("Interface", link, "external_ids")
	if err != nil {
		return err
	}
	if len(there) > 0 {
		if own, err := isRowOf(there[0], link, port); err != nil || !own {
			return errors.Join(err, fmt.Errorf("it is there already, and is not of this server's port: it is left alone"))
		}
		_, err := v.transact(ovsdb.Operation{Op: ovsdb.OperationUpdate, Table: "Interface", Where: named(link), Row: ovsdb.Row{"external_ids": ids}})
		return err
	}
	return v.insert(link, port, ids)
}

// isRowOf tells whether an interface is the port's, or an orphan.
func isRowOf(row ovsdb.Row, link string, port Port) (bool, error) {
	ids, _ := row["external_ids"].(ovsdb.OvsMap)
	id, _ := ids.GoMap["iface-id"].(string)
	dir, marked := ids.GoMap[ovsMark].(string)
	if dir == port.Dir && strings.HasPrefix(id, port.ID) { // of an orphan only the id's beginning is known
		return true, nil
	}
	return isOrphan(dir, link, marked)
}

func (v vswitch) insert(link string, port Port, ids ovsdb.OvsMap) error {
	bridges, err := v.rows("Bridge", port.Bridge, "_uuid")
	if err != nil {
		return err
	}
	if len(bridges) == 0 {
		return fmt.Errorf("there is no bridge %s in Open vSwitch: Neutron's agent makes it when it starts", port.Bridge)
	}
	_, err = v.transact(insertion(link, port, ids)...)
	return err
}

// deadVLAN is Neutron's for ports that are not wired. As a trunk of this VLAN alone, the port drops everything else too
// (https://bugs.launchpad.net/neutron/+bug/1930414); Neutron's agent undoes that when it sets the tag.
const deadVLAN = 4095

// insertion puts a link into the port's bridge. A port without a tag would be a trunk of the VLANs of all networks until
// Neutron's agent gives it one. Where no agent of Neutron's does that, as with OVN, the port must not have one.
func insertion(link string, port Port, ids ovsdb.OvsMap) []ovsdb.Operation {
	row := ovsdb.Row{"name": link, "interfaces": ovsdb.UUID{GoUUID: "interface"}}
	if port.Tagged {
		row["tag"], row["vlan_mode"], row["trunks"] = deadVLAN, "trunk", deadVLAN
	}
	return []ovsdb.Operation{
		{Op: ovsdb.OperationInsert, Table: "Interface", UUIDName: "interface", Row: ovsdb.Row{"name": link, "external_ids": ids}},
		{Op: ovsdb.OperationInsert, Table: "Port", UUIDName: "port", Row: row},
		{
			Op: ovsdb.OperationMutate, Table: "Bridge", Where: named(port.Bridge),
			Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("ports", ovsdb.MutateOperationInsert, ovsdb.UUID{GoUUID: "port"})},
		},
	}
}

// settled waits until the switch has added the link, and returns the reason if it does not.
func (v vswitch) settled(ctx context.Context, link string) error {
	for {
		rows, err := v.rows("Interface", link, "ofport", "error")
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fmt.Errorf("it was taken out of Open vSwitch again")
		}
		if number, ok := rows[0]["ofport"].(float64); ok && number > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is not taken in by Open vSwitch: %v", rows[0]["error"])
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// inUserspace tells whether a bridge's packets are switched in user space, and not by the kernel.
func (v vswitch) inUserspace(bridge string) (bool, error) {
	rows, err := v.rows("Bridge", bridge, "datapath_type")
	return len(rows) > 0 && rows[0]["datapath_type"] == "netdev", err
}

func (v vswitch) rows(table, name string, columns ...string) ([]ovsdb.Row, error) {
	results, err := v.transact(ovsdb.Operation{Op: ovsdb.OperationSelect, Table: table, Where: named(name), Columns: columns})
	if err != nil {
		return nil, err
	}
	return results[0].Rows, nil
}

// remove takes a link out of whatever bridge it is in, if it is the port's.
func (v vswitch) remove(link string, port Port) error {
	there, err := v.rows("Interface", link, "external_ids")
	if err != nil || len(there) == 0 {
		return err
	}
	if own, err := isRowOf(there[0], link, port); err != nil || !own {
		return err
	}
	rows, err := v.rows("Port", link, "_uuid")
	if err != nil || len(rows) == 0 {
		return err
	}
	id, ok := rows[0]["_uuid"].(ovsdb.UUID)
	if !ok {
		return fmt.Errorf("the row of port %s in Open vSwitch is named by %v", link, rows[0]["_uuid"])
	}
	holding := []ovsdb.Condition{ovsdb.NewCondition("ports", ovsdb.ConditionIncludes, id)}
	_, err = v.transact(ovsdb.Operation{
		Op: ovsdb.OperationMutate, Table: "Bridge", Where: holding,
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("ports", ovsdb.MutateOperationDelete, id)},
	})
	return err
}
