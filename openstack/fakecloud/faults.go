package fakecloud

import (
	"fmt"
	"slices"
)

// A Fault is something that goes wrong.
type Fault string

// The faults.
const (
	TokensExpired      Fault = "tokens-expired"    // the services refuse every token, new ones too
	UploadTooLarge     Fault = "upload-413"        // Glance refuses after the first bytes
	UploadFails        Fault = "upload-500"        // the same
	UploadUnavailable  Fault = "upload-503"        // the same
	UploadTokenEnds    Fault = "upload-401"        // the same, but takes the token of a new login
	UploadFailsOnce    Fault = "upload-500-once"   // the next attempt is taken
	UploadDamaged      Fault = "upload-damaged"    // Glance has other bytes than were sent, once
	UploadHangs        Fault = "upload-hangs"      // Glance takes all and never answers
	DownloadBreaks     Fault = "download-breaks"   // the connection breaks in the middle of all that is not a part
	DownloadIsWhole    Fault = "download-whole"    // Glance sends all where a part is asked for
	DownloadIsOther    Fault = "download-other"    // Glance sends another part than was asked for
	DownloadHasNoParts Fault = "download-no-parts" // Glance refuses to send a part: the store behind it cannot
	DataMissing        Fault = "data-missing"      // Glance's storage has none of the bytes
	QuotaExceeded      Fault = "quota-exceeded"    // Nova makes no server
	BootFails          Fault = "boot-fails"        // servers go to ERROR
	ActionsFail        Fault = "actions-fail"      // what is done with a server changes nothing, and Nova says so
	NovaHangs          Fault = "nova-hangs"        // nothing that Nova has begun ends
	SnapshotVanishes   Fault = "snapshot-vanishes" // Nova deletes the image that it could not fill
	HostUnmapped       Fault = "host-unmapped"     // a host is up, and in no cell
	AddressesUsed      Fault = "addresses-used"    // all of each network's
	PortsExceeded      Fault = "ports-exceeded"    // Neutron has no room for a port
	DockerRefused      Fault = "docker-refused"    // Glance takes no images of container format docker
	SizeLimited        Fault = "size-limited"      // Glance has a quota of bytes, and tells it
	TraitsReserved     Fault = "traits-reserved"   // Glance lets nobody give images properties that ask for traits
	DockerReserved     Fault = "docker-reserved"   // the same of properties that are Docker's
	PlacementMissing   Fault = "placement-missing" // the catalogue does not have it
	GlanceAway         Fault = "glance-away"       // its proxy says so
	NeutronHangs       Fault = "neutron-hangs"     // it does not answer
	Hiccups            Fault = "hiccups"           // who asks for the first time how it goes with what he began, is told 502
	ProcessEnds        Fault = "process-ends"      // servers that are started are off again at once
	SoftDelete         Fault = "soft-delete"       // Nova keeps what is deleted
	SecondFails        Fault = "second-fails"      // of servers of one request, the second goes to ERROR
	NoConsole          Fault = "no-console"        // no host has serial consoles
	ConsoleDrops       Fault = "console-drops"     // the next connection to a console breaks at once
)

var faults = []Fault{
	TokensExpired, UploadTooLarge, UploadFails, UploadUnavailable, UploadTokenEnds, UploadFailsOnce, UploadDamaged, UploadHangs, DownloadBreaks, DownloadIsWhole, DownloadIsOther, DownloadHasNoParts, DataMissing, QuotaExceeded,
	BootFails, ActionsFail, NovaHangs, SnapshotVanishes, PortsExceeded, HostUnmapped, AddressesUsed, DockerRefused, SizeLimited, DockerReserved, TraitsReserved, PlacementMissing, GlanceAway,
	NeutronHangs, Hiccups, ProcessEnds, SoftDelete, SecondFails, NoConsole, ConsoleDrops,
}

// Break makes something go wrong from now on.
func (c *Cloud) Break(fault Fault) error {
	if !slices.Contains(faults, fault) {
		return fmt.Errorf("there is no fault %q; there are %v", fault, faults)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[fault] = true
	return nil
}

// Mend ends it.
func (c *Cloud) Mend(fault Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.faults, fault)
}
