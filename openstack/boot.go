package openstack

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
)

// BootOptions describe the servers to boot. Image, flavor and networks are names or ids.
type BootOptions struct {
	Name           string
	Image          string // in Glance; not looked at where PutImage is set
	Flavor         string
	Networks       []string // none: the only one there is
	SecurityGroups []string
	KeyName        string
	Environment    map[string]string // becomes server metadata, and the process's variables
	Command        []string          // none: the image's
	Count          int
	Wait           Wait

	// PutImage puts an image into Glance that may not be there, and returns its id. It is called when all else that the
	// servers need was found, because it may take long. It is nil where Image is in Glance.
	PutImage func(ctx context.Context) (string, error)
}

// Boot makes servers, and returns them as they are then; after waiting, those of them that came up.
func (c *Cloud) Boot(ctx context.Context, o BootOptions) ([]Server, error) {
	request, err := c.bootRequest(ctx, o)
	if err != nil {
		return nil, err
	}
	booted, err := c.create(ctx, o.Name, request)
	if err != nil || !o.Wait.Wanted {
		return booted, err
	}
	return c.AwaitBoot(ctx, booted, o.Wait)
}

// AwaitBoot waits for servers that were booted without, and returns those of them that came up.
func (c *Cloud) AwaitBoot(ctx context.Context, booted []Server, wait Wait) ([]Server, error) {
	booted = slices.Clone(booted)
	failed := together(len(booted), func(i int) error {
		var err error
		booted[i], err = c.await(ctx, booted[i].ID, goal{op: fmt.Sprintf("boot server %q", booted[i].Name), status: "ACTIVE", via: "BUILD"}, wait)
		return err
	})
	return slices.DeleteFunc(booted, func(server Server) bool { return server.Status != "ACTIVE" || server.Task != "" }), failed
}

func (c *Cloud) bootRequest(ctx context.Context, o BootOptions) (reserving, error) {
	flavor, err := c.flavor(ctx, o.Flavor)
	if err != nil {
		return reserving{}, err
	}
	networks, err := c.bootNetworks(ctx, o.Networks)
	if err != nil {
		return reserving{}, err
	}
	userData, err := commandUserData(o.Command)
	if err != nil {
		return reserving{}, err
	}
	image, err := c.bootImage(ctx, o)
	if err != nil {
		return reserving{}, err
	}
	return reserving{servers.CreateOpts{
		Name: o.Name, ImageRef: image, FlavorRef: flavor, Networks: networks, SecurityGroups: o.SecurityGroups,
		Metadata: o.Environment, UserData: userData, Min: o.Count, Max: o.Count,
	}, o.KeyName}, nil
}

// bootImage returns the image's id. Before one is put into Glance, it looks for what else Nova may refuse.
func (c *Cloud) bootImage(ctx context.Context, o BootOptions) (string, error) {
	if o.PutImage == nil {
		image, err := c.Image(ctx, o.Image)
		return image.ID, err
	}
	if err := c.checkKeyPair(ctx, o.KeyName); err != nil {
		return "", err
	}
	for _, group := range o.SecurityGroups {
		if err := c.checkSecurityGroup(ctx, group); err != nil {
			return "", err
		}
	}
	return o.PutImage(ctx)
}

// checkKeyPair tells whether the user has a key pair of that name, if there is one.
func (c *Cloud) checkKeyPair(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	client, err := c.nova()
	if err != nil {
		return err
	}
	_, err = keypairs.Get(ctx, client, name, keypairs.GetOpts{}).Extract()
	switch op := fmt.Sprintf("key pair %q", name); {
	case isMissing(err):
		return &Error{Op: op, Err: errors.New("there is none of that name"), hint: "'openstack keypair list' lists them"}
	case err != nil:
		return explain(op, err)
	}
	return nil
}

func (c *Cloud) checkSecurityGroup(ctx context.Context, nameOrID string) error {
	client, err := c.neutron()
	if err != nil {
		return err
	}
	_, err = lookup[groups.SecGroup]{
		kind: "security group",
		byID: func(ctx context.Context, id string) (groups.SecGroup, error) {
			found, err := groups.Get(ctx, client, id).Extract()
			if err != nil {
				return groups.SecGroup{}, err
			}
			return *found, nil
		},
		byName: func(ctx context.Context, name string) ([]groups.SecGroup, error) {
			pages, err := groups.List(client, groups.ListOpts{Name: name, ProjectID: c.project()}).AllPages(ctx)
			if err != nil {
				return nil, err
			}
			return groups.ExtractGroups(pages)
		},
		id: func(g groups.SecGroup) string { return g.ID },
	}.find(ctx, nameOrID)
	return err
}

// commandUserData is how a command travels: user data that ndock's agent knows by its first line. It is base64
// here, because gophercloud leaves alone whatever looks like that already.
func commandUserData(command []string) ([]byte, error) {
	if len(command) == 0 {
		return nil, nil
	}
	content, err := json.Marshal(map[string][]string{"command": command})
	if err != nil {
		return nil, err
	}
	return []byte(base64.StdEncoding.EncodeToString(append([]byte("#ndock\n"), content...))), nil
}

// reserving asks for the reservation's id, by which all servers of one request are found.
type reserving struct {
	servers.CreateOpts
	keyName string
}

// ToServerCreateMap is the request's JSON.
func (r reserving) ToServerCreateMap() (map[string]any, error) {
	request, err := r.CreateOpts.ToServerCreateMap()
	if err != nil {
		return nil, err
	}
	server, ok := request["server"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("gophercloud's request has no server in it")
	}
	server["return_reservation_id"] = true
	if r.keyName != "" {
		server["key_name"] = r.keyName
	}
	return request, nil
}

func (c *Cloud) create(ctx context.Context, name string, request reserving) ([]Server, error) {
	client, err := c.nova()
	if err != nil {
		return nil, err
	}
	result := servers.Create(ctx, client, request, nil)
	if result.Err != nil {
		return nil, explain(fmt.Sprintf("boot server %q", name), result.Err)
	}
	var reservation struct {
		ID string `json:"reservation_id"`
	}
	if err := result.Result.ExtractInto(&reservation); err != nil {
		return nil, explain(fmt.Sprintf("boot server %q", name), err)
	}
	made, err := persist(ctx, func(ctx context.Context) ([]Server, error) {
		return c.listServers(ctx, reservedServers(reservation.ID))
	})
	if err != nil {
		return nil, &Error{Op: fmt.Sprintf("boot server %q", name), Err: fmt.Errorf("the request was taken, but: %w", err), hint: "'ndock list' shows what became of it"}
	}
	return made, nil
}

// reservedServers lists those of one request.
type reservedServers string

// ToServerListQuery is the list's filter.
func (id reservedServers) ToServerListQuery() (string, error) {
	return "?reservation_id=" + string(id), nil
}
