// Prints what Cornerstone's adapters, which OHIF uses, find in an SR and in a SEG, as JSON.
//
//   node cornerstone.mjs headers.json sr.dcm seg.dcm
//
// headers.json is a list of image planes: sopInstanceUID, rows, columns, imagePositionPatient,
// rowCosines, columnCosines, rowPixelSpacing, columnPixelSpacing, frameOfReferenceUID.

import fs from 'node:fs';
import dcmjs from 'dcmjs';
import { adaptersSR, adaptersSEG } from '@cornerstonejs/adapters';
import { metaData, utilities } from '@cornerstonejs/core';

console.log = console.info = console.warn = () => {};

const [headersFile, srFile, segFile] = process.argv.slice(2);
const planes = JSON.parse(fs.readFileSync(headersFile));
const ids = planes.map((plane, i) => `made:${i}`);
const byId = new Map(ids.map((id, i) => [id, planes[i]]));

function provider(type, id) {
  const plane = byId.get(id);
  if (!plane) return undefined;
  if (type === 'imagePlaneModule') return plane;
  if (type === 'sopCommonModule' || type === 'generalImageModule') return { sopInstanceUID: plane.sopInstanceUID };
  if (type === 'generalSeriesModule') return { seriesInstanceUID: plane.seriesInstanceUID };
  if (type === 'instance') {
    return {
      SOPInstanceUID: plane.sopInstanceUID,
      SeriesInstanceUID: plane.seriesInstanceUID,
      Rows: plane.rows,
      Columns: plane.columns,
    };
  }
  return undefined;
}
metaData.addProvider(provider, 1000);

function buffer(file) {
  const bytes = fs.readFileSync(file);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

function boxes() {
  const message = dcmjs.data.DicomMessage.readFile(buffer(srFile));
  const dataset = dcmjs.data.DicomMetaDictionary.naturalizeDataset(message.dict);
  const images = Object.fromEntries(planes.map((p, i) => [`${p.sopInstanceUID}:1`, ids[i]]));
  const found = adaptersSR.Cornerstone3D.MeasurementReport.generateToolState(
    dataset, images, metaData
  );
  return (found.RectangleROI || []).map((m) => ({
    image: planes[ids.indexOf(m.annotation.metadata.referencedImageId)].sopInstanceUID,
    corners: m.annotation.data.handles.points.map((point) =>
      utilities.worldToImageCoords(m.annotation.metadata.referencedImageId, point)
    ),
    label: m.annotation.data.label,
    finding: m.description,
    uid: m.TrackingUniqueIdentifier,
  }));
}

async function masks() {
  const read = adaptersSEG.Cornerstone3D.Segmentation.createFromDICOMSegBuffer;
  const found = await read(ids, buffer(segFile), { metadataProvider: metaData });
  const pixels = {};
  // Each list holds label maps for all images; segments that overlap lie in further lists.
  for (const images of found.labelMapImages) {
    images.forEach((image, i) => {
      const values = image.getPixelData ? image.getPixelData() : image.voxelManager.getScalarData();
      values.forEach((value, at) => {
        if (value) (pixels[`${value}:${i}`] ||= []).push(at);
      });
    });
  }
  return { pixels, labels: found.segMetadata.data.slice(1).map((s) => s.SegmentLabel) };
}

const result = { boxes: boxes(), masks: segFile ? await masks() : null };
// A pipe takes more than its buffer only after the write.
process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(0));
