import test from 'ava';
import type { PartsLab } from '../lab/parts-lab.js';

/** What every TaskLinks must do, whatever it is made of. `opened` gives the host of other contracts. */
export function linksContract(opened: () => PartsLab): void {
  const NETWORK = 'ingressnetwork';
  const found = async (taskId: string) =>
    (await opened().node.agent.links())
      .filter((link) => link.taskId === taskId)
      .map(({ networkId, addresses }) => ({ networkId, addresses }));
  const attachment = (place: ReturnType<PartsLab['place']>, ...networkIds: string[]) => ({
    taskId: place.taskId,
    netns: place.netns,
    attachments: networkIds.map((networkId, i) => ({
      networkId,
      addresses: [`${place.address.replace(/\d+$/, (last) => String(Number(last) + 50 * i))}/32`],
    })),
  });

  test.serial(
    'links: a task is listed with its networks and addresses until it is detached',
    async (t) => {
      const { agent } = opened().node;
      const place = opened().place();
      await agent.link(attachment(place, NETWORK, 'second'));
      t.deepEqual(
        (await found(place.taskId)).map(({ networkId }) => networkId).sort(),
        [NETWORK, 'second'].sort(),
      );
      const [first] = (await found(place.taskId)).filter(({ networkId }) => networkId === NETWORK);
      t.deepEqual(first!.addresses, [place.address]);
      await agent.unlink(place.taskId);
      t.deepEqual(await found(place.taskId), []);
    },
  );

  test.serial('links: attaching again leaves the last wish', async (t) => {
    const { agent } = opened().node;
    const place = opened().place();
    await agent.link(attachment(place, NETWORK, 'second'));
    await agent.link(attachment(place, NETWORK, 'second'));
    t.is((await found(place.taskId)).length, 2);
    await agent.link(attachment(place, NETWORK));
    t.deepEqual(await found(place.taskId), [{ networkId: NETWORK, addresses: [place.address] }]);
    await agent.unlink(place.taskId);
  });

  test.serial('links: detaching an unknown task does nothing', async (t) => {
    await t.notThrowsAsync(opened().node.agent.unlink('nobody'));
  });

  test.serial('links: retain keeps the links of those named and of nobody else', async (t) => {
    const { agent } = opened().node;
    const [kept, gone] = [opened().place(), opened().place()];
    await agent.link(attachment(kept, NETWORK, 'second'));
    await agent.link(attachment(gone, NETWORK, 'second'));
    await agent.retainLinks([kept.taskId, 'unknown']);
    t.is((await found(kept.taskId)).length, 2);
    t.deepEqual(await found(gone.taskId), []);
    await agent.retainLinks([]);
    t.deepEqual(await agent.links(), []);
  });
}
