// A table's rows of which only those are drawn that can be seen, when there are many.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

export const DRAW_ALL = 150;
const BEYOND = 20; ///< rows drawn above and below what can be seen

interface Window {
  first: number;
  end: number;
}

export function Rows<T>({ items, key_of, columns, children }: {
  items: T[];
  key_of: (item: T) => string;
  columns: number;
  children: (item: T, index: number) => ComponentChildren;
}) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [height, set_height] = useState(40);
  const [seen, set_seen] = useState<Window>({ first: 0, end: DRAW_ALL });
  const [printing, set_printing] = useState(false);
  const all = printing || items.length <= DRAW_ALL;

  useEffect(() => {
    const before = () => set_printing(true);
    const after = () => set_printing(false);
    addEventListener("beforeprint", before);
    addEventListener("afterprint", after);
    return () => {
      removeEventListener("beforeprint", before);
      removeEventListener("afterprint", after);
    };
  }, []);

  useLayoutEffect(() => {
    const row = body.current?.querySelector("tr[data-row]");
    const measured = row?.getBoundingClientRect().height ?? 0;
    if (measured > 0 && Math.abs(measured - height) > 0.5) {
      set_height(measured);
    }
  });

  useEffect(() => {
    if (all) {
      return;
    }
    const look = () => {
      const top = body.current?.getBoundingClientRect().top ?? 0;
      const first = Math.max(0, Math.floor(-top / height) - BEYOND);
      const end = Math.min(items.length, first + Math.ceil(innerHeight / height) + 2 * BEYOND);
      set_seen((before) => (before.first === first && before.end === end ? before : { first, end }));
    };
    look();
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
    };
  }, [all, height, items.length]);

  const first = all ? 0 : Math.min(seen.first, Math.max(0, items.length - 1));
  const end = all ? items.length : Math.min(seen.end, items.length);
  const space = (rows: number, key: string) =>
    rows > 0 && (
      <tr key={key} aria-hidden="true" class="space">
        <td colSpan={columns} style={{ height: `${rows * height}px` }} />
      </tr>
    );
  return (
    <tbody ref={body}>
      {space(first, "above")}
      {items.slice(first, end).map((item, i) => (
        <tr key={key_of(item)} data-row aria-rowindex={first + i + 2}>
          {children(item, first + i)}
        </tr>
      ))}
      {space(items.length - end, "below")}
    </tbody>
  );
}
