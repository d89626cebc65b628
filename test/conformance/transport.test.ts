import type { NodeName, RegionName } from '@meridian/core/ids';
import { systemClock } from '@meridian/server/adapters/system/system-clock';
import { systemRandom } from '@meridian/server/adapters/system/system-random';
import { wanTransport } from '@meridian/server/adapters/wan/wan-transport';
import { describeTransport, realTime } from './transport.ts';
import { TcpNetwork } from './transport-networks.ts';

describeTransport('tcp', async () => {
  const network = await TcpNetwork.open();
  return { ...realTime, make: (node) => network.make(node) };
});

describeTransport('wan over tcp', async () => {
  const network = await TcpNetwork.open();
  return {
    ...realTime,
    make: (node) =>
      wanTransport(network.make(node), {
        region: regionOf(node),
        regions: ['a', 'b', 'c'].map((name) => regionOf(name as NodeName)),
        regionOf,
        rtt: {},
        clock: systemClock,
        random: systemRandom,
      }),
  };
});

function regionOf(node: NodeName): RegionName {
  return `region-${node}` as RegionName;
}
