package openstack

import "context"

// Agent is one of Neutron's, on some host.
type Agent struct {
	ID      string `json:"id"`
	Type    string `json:"agent_type"` // Linux bridge agent, OVN Controller agent, …
	Program string `json:"binary"`     // by which it is known on its host
	Host    string `json:"host"`
	Alive   bool   `json:"alive"`
}

// Agents lists Neutron's agents. Who is no administrator is told of none. gophercloud's own reading of them fails on
// those of OVN, whose times are written in another way.
func (c *Cloud) Agents(ctx context.Context) ([]Agent, error) {
	client, err := c.neutron()
	if err != nil {
		return nil, err
	}
	var found struct{ Agents []Agent }
	_, err = client.Get(ctx, client.ServiceURL("agents"), &found, nil)
	if err != nil {
		return nil, explain("list Neutron's agents", err)
	}
	return found.Agents, nil
}
